"""The items of `spec.network.firewall`, `spec.network.routes` and `spec.network.paths` of cluster.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import cast

from controlplane.config.fields import Field
from netsim.vpc.policy import DEFAULT_PRIORITY, LOWEST_PRIORITY, Action, Direction, FirewallRule, PathRule, StaticRoute

_NAME = r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?"
_NAME_ALLOWED = "allowed are lower-case letters, digits and '-', a letter first, at most 63"
_PROTOCOL = re.compile(r"(all|icmp|esp|ah|[0-9]{1,3})|(tcp|udp|sctp)(:([0-9]{1,5})(-([0-9]{1,5}))?)?")
_PROTOCOL_ALLOWED = "allowed is as tcp:80, udp:8000-9000, tcp, udp, sctp, icmp, esp, ah, all or a protocol's number"
_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)(bit|kbit|Mbit|Gbit)")
_BITS = {"bit": 1, "kbit": 1_000, "Mbit": 1_000_000, "Gbit": 1_000_000_000}
_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?)(us|ms|s)")
_MICROSECONDS = {"us": 1, "ms": 1_000, "s": 1_000_000}
_SLOWEST, _FASTEST, _LONGEST = 8_000, 100_000_000_000, 60_000_000


def parse_rule(field: Field) -> FirewallRule:
    """A firewall rule."""
    ranges, tags, flags = ("sourceRanges", "destinationRanges"), ("sourceTags", "targetTags"), ("disabled", "logging")
    parts = field.mapping(("name", "direction", "action", "priority", "protocols", *ranges, *tags, *flags))
    direction = parts["direction"].choice(("ingress", "egress")) if "direction" in parts else "ingress"
    if direction == "egress" and "sourceTags" in parts:
        raise parts["sourceTags"].refuse("an egress rule is for what nodes with its targetTags send")
    protocols = parts["protocols"].items("a list of protocols") if "protocols" in parts else []
    return FirewallRule(
        name=_name(field, parts),
        direction=cast(Direction, direction),
        action=cast(Action, parts["action"].choice(("allow", "deny")) if "action" in parts else "allow"),
        priority=_priority(parts),
        protocols=tuple(map(_protocol, protocols)) or ("all",),
        source_ranges=_ranges(parts, "sourceRanges"),
        destination_ranges=_ranges(parts, "destinationRanges"),
        source_tags=_tags(parts, "sourceTags"),
        target_tags=_tags(parts, "targetTags"),
        disabled=parts["disabled"].boolean() if "disabled" in parts else False,
        logging=parts["logging"].boolean() if "logging" in parts else False,
    )


def parse_route(field: Field) -> StaticRoute:
    """A custom route; it has one next hop."""
    hops = ("nextHopNode", "nextHopAddress", "nextHopGateway")
    parts = field.mapping(("name", "destination", "priority", "tags", *hops))
    if "destination" not in parts:
        raise field.refuse("write destination: and a range", found="the field destination is missing")
    if sum(hop in parts for hop in hops) != 1:
        raise field.refuse(f"write one of {', '.join(hops)}", found="a route has one next hop")
    if "nextHopGateway" in parts:
        parts["nextHopGateway"].choice(("internet",))
    return StaticRoute(
        name=_name(field, parts),
        destination=str(parts["destination"].network(0, 32)),
        node=parts["nextHopNode"].label() if "nextHopNode" in parts else "",
        address=str(parts["nextHopAddress"].address()) if "nextHopAddress" in parts else "",
        priority=_priority(parts),
        tags=_tags(parts, "tags"),
    )


def parse_path(field: Field) -> PathRule:
    """What the way between two regions or zones carries."""
    limits = ("rate", "delay", "jitter", "loss")
    parts = field.mapping(("between", *limits))
    if "between" not in parts:
        raise field.refuse("write between: and two regions or zones", found="the field between is missing")
    places = parts["between"].labels("a list of two regions or zones")
    if len(places) != 2 or places[0] == places[1]:
        raise parts["between"].refuse("allowed are two different regions or zones", found=f"found {len(places)}")
    if not any(limit in parts for limit in limits):
        raise field.refuse(f"write at least one of {', '.join(limits)}", found="the path has no limit")
    return PathRule(
        between=(places[0], places[1]),
        rate=_rate(parts["rate"]) if "rate" in parts else 0,
        delay=_time(parts["delay"]) if "delay" in parts else 0,
        jitter=_time(parts["jitter"]) if "jitter" in parts else 0,
        loss=_loss(parts["loss"]) if "loss" in parts else 0.0,
    )


def _name(field: Field, parts: Mapping[str, Field]) -> str:
    if "name" not in parts:
        raise field.refuse("write name: and a name", found="the field name is missing")
    return parts["name"].string(_NAME, allowed=_NAME_ALLOWED)


def _priority(parts: Mapping[str, Field]) -> int:
    return parts["priority"].integer(0, LOWEST_PRIORITY) if "priority" in parts else DEFAULT_PRIORITY


def _ranges(parts: Mapping[str, Field], name: str) -> tuple[str, ...]:
    return tuple(str(item.network(0, 32)) for item in parts[name].items("a list of ranges")) if name in parts else ()


def _tags(parts: Mapping[str, Field], name: str) -> tuple[str, ...]:
    return parts[name].labels("a list of network tags") if name in parts else ()


def _protocol(field: Field) -> str:
    text = str(field.integer(0, 255)) if field.is_integer() else field.string(allowed=_PROTOCOL_ALLOWED)
    match = _PROTOCOL.fullmatch(text)
    ports = [int(port) for port in (match[4], match[6]) if port] if match else []
    if match is None or ports != sorted(ports) or any(port > 65535 for port in ports):
        raise field.refuse(_PROTOCOL_ALLOWED)
    if match[1] and match[1].isdigit() and int(match[1]) > 255:
        raise field.refuse(_PROTOCOL_ALLOWED)
    return text


def _rate(field: Field) -> int:
    allowed = "allowed is from 8kbit to 100Gbit, as 100Mbit"
    match = _RATE.fullmatch(field.string(allowed=allowed))
    rate = int(float(match[1]) * _BITS[match[2]]) if match else 0
    if not _SLOWEST <= rate <= _FASTEST:
        raise field.refuse(allowed)
    return rate


def _time(field: Field) -> int:
    allowed = "allowed is a time up to 60s, as 50ms"
    match = _TIME.fullmatch(field.string(allowed=allowed))
    time = int(float(match[1]) * _MICROSECONDS[match[2]]) if match else -1
    if not 0 < time <= _LONGEST:
        raise field.refuse(allowed)
    return time


def _loss(field: Field) -> float:
    allowed = "allowed is from 0.01% to 100%, as 0.5%"
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)%", field.string(allowed=allowed))
    loss = float(match[1]) if match else 0.0
    if not 0.01 <= loss <= 100:
        raise field.refuse(allowed)
    return loss
