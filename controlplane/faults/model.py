"""A Fault's spec, read: times in seconds, limits in the kernel's units, defaults by type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Network, NetmaskValueError
from typing import Any

Selection = Mapping[str, Any]
SHAPES = ("delay", "loss", "rate")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_BITS = {"bit": 1, "kbit": 1_000, "Mbit": 1_000_000, "Gbit": 1_000_000_000}
_NUMBER = re.compile(r"([0-9]+(?:\.[0-9]+)?)([a-zA-Z%]+)")
_DEFAULT_PERIOD = 2.0
_SHORTEST_PERIOD = 0.2
_LABEL = re.compile(r"[a-zA-Z0-9_-]{1,63}")
_FITTING: Mapping[str, tuple[str, ...]] = {
    "partition": ("pods", "nodes", "cidrs"),
    "nodeCrash": ("nodes",),
    "nodeFreeze": ("nodes",),
    "processKill": ("pods",),
    "processPause": ("pods",),
    "ruleRemoved": ("nodes",),
    "routeRemoved": ("pods", "nodes", "router"),
}
_KINDS = {
    "pods": ("pods", "podSelector", "services", "namespaceSelector"),
    "nodes": ("nodes", "nodeSelector"),
    "cidrs": ("cidrs",),
    "router": ("router",),
}


class Refused(Exception):
    """What a Fault asks for cannot be done; `reason` is the condition's."""

    def __init__(self, message: str, reason: str = "Invalid") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Spec:
    """`start`, `duration` and `period` in seconds, `duration` 0 for ever; `delay` and `jitter` in microseconds, `rate`
    in bits a second, `loss` in percent."""

    type: str
    origin: Selection | None = None
    to: Selection | None = None
    target: Selection | None = None
    direction: str = "both"
    start: float = 0.0
    duration: float = 0.0
    delay: int = 0
    jitter: int = 0
    loss: float = 0.0
    rate: int = 0
    period: float = _DEFAULT_PERIOD
    mtu: int = 0
    containers: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    route: str = ""
    table: str = "nat"
    rule: str = ""
    chain: str = ""


def read_spec(spec: Mapping[str, Any]) -> Spec:
    """The spec of a Fault. Raises `Refused` for what a schema cannot say."""
    type_ = spec["type"]
    found = Spec(
        type=type_,
        origin=spec.get("from"),
        to=spec.get("to"),
        target=spec.get("target"),
        # A delay for both directions would come twice in a round trip; the others cut or limit.
        direction=spec.get("direction") or ("out" if type_ in ("delay", "loss") else "both"),
        start=_time(spec, "start"),
        duration=_time(spec, "duration"),
        delay=round(_time(spec, "delay") * 1e6),
        jitter=round(_time(spec, "jitter") * 1e6),
        loss=_number(spec, "loss", {"%": 1}, "5%") if "loss" in spec else 0,
        rate=_rate(spec) if "rate" in spec else 0,
        period=_time(spec, "period") if "period" in spec else _DEFAULT_PERIOD,
        mtu=spec.get("mtu", 0),
        containers=tuple(spec.get("containers", ())),
        names=tuple(spec.get("names", ())),
        route=spec.get("route", ""),
        table=spec.get("table", "nat"),
        rule=spec.get("rule", "").strip(),
        chain=spec.get("chain", ""),
    )
    _check(found)
    return found


def _check(spec: Spec) -> None:
    if spec.type == "partition" and spec.origin is None:
        raise Refused("partition needs from; without to it is cut off from everything")
    if spec.type not in ("partition", *SHAPES) and (spec.origin is not None or spec.to is not None):
        raise Refused(f"{spec.type} takes target, not from and to")
    if spec.loss > 100:
        raise Refused(f"loss: {spec.loss:g}% is more than all")
    if spec.period < _SHORTEST_PERIOD:
        raise Refused(f"period: at least {_SHORTEST_PERIOD:g}s")
    for name in spec.names:
        labels = [] if name == "*" else name.rstrip(".").split(".")
        if not all(_LABEL.fullmatch(label) for label in labels):
            raise Refused(f"names: {name!r} is no name that DNS could be asked for")
    for selection in (spec.origin, spec.to, spec.target):
        _check_selection(spec, selection or {})
    if spec.route and spec.route != "default":
        _range(spec.route, "route")


def _check_selection(spec: Spec, selection: Selection) -> None:
    for cidr in selection.get("cidrs", ()):
        _range(cidr, "cidrs")
    usual = ("pods", "nodes", "cidrs") if spec.type in SHAPES else ("pods", "nodes")
    fitting = _FITTING.get(spec.type, usual)
    for kind, fields in _KINDS.items():
        given = next((field for field in fields if selection.get(field) is not None), None)
        if given is not None and kind not in fitting:
            raise Refused(f"{spec.type} is for {' and '.join(fitting)}, not for {given}")


def _range(text: str, where: str) -> None:
    try:
        IPv4Network(text, strict=False)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise Refused(f"{where}: {text!r} is no range of IPv4 addresses") from error


def _time(spec: Mapping[str, Any], field: str) -> float:
    """In seconds, 0 if it is not there."""
    return _number(spec, field, _SECONDS, "100ms, 5s or 2m") if field in spec else 0.0


def _rate(spec: Mapping[str, Any]) -> int:
    rate = int(_number(spec, "rate", _BITS, "500kbit or 1Mbit"))
    if rate < 8_000:
        raise Refused("rate: at least 8kbit")
    return rate


def _number(spec: Mapping[str, Any], field: str, units: Mapping[str, float], examples: str) -> float:
    match = _NUMBER.fullmatch(spec[field])
    if match is None or match[2] not in units:
        raise Refused(f"{field}: {spec[field]!r} is no number with a unit, as {examples}")
    return float(match[1]) * units[match[2]]
