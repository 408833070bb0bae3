"""NetworkPolicies."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_network
from typing import Any

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import forbidden, invalid, invalid_each, not_supported, required
from controlplane.api.printing import ingress
from controlplane.api.rules import lifecycle
from controlplane.api.rules.numbers import port_or_name
from controlplane.api.selectors import validate_selector
from controlplane.api.types import Kind, Object, Strategy

Fields = Mapping[str, Any]

DIRECTIONS = ("Ingress", "Egress")
PROTOCOLS = ("TCP", "UDP", "SCTP")


def _default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("podSelector", {})
    if "policyTypes" not in spec:
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    for direction in ("ingress", "egress"):
        for rule in spec.get(direction, ()):
            for port in rule.get("ports", ()):
                port.setdefault("protocol", "TCP")


def _rules(obj: Object) -> list[FieldError]:
    spec = obj["spec"]
    errors = validate_selector(spec["podSelector"], "spec.podSelector")
    for direction, peers in (("ingress", "from"), ("egress", "to")):
        for index, rule in enumerate(spec.get(direction, ())):
            place = f"spec.{direction}[{index}]"
            for number, port in enumerate(rule.get("ports", ())):
                errors += _validate_port(port, f"{place}.ports[{number}]")
            for number, peer in enumerate(rule.get(peers, ())):
                errors += _validate_peer(peer, f"{place}.{peers}[{number}]")
    types = spec["policyTypes"]
    if len(types) > len(DIRECTIONS):
        return [*errors, invalid("spec.policyTypes", types, "may not specify more than two policyTypes")]
    return errors + [
        not_supported(f"spec.policyTypes[{index}]", one, DIRECTIONS)
        for index, one in enumerate(types)
        if one not in DIRECTIONS
    ]


def _validate_port(port: Fields, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if port["protocol"] not in PROTOCOLS:
        errors.append(not_supported(f"{path}.protocol", port["protocol"], PROTOCOLS))
    first, last = port.get("port"), port.get("endPort")
    if first is not None:
        errors += port_or_name(first, f"{path}.port")
    if last is None:
        return errors
    if first is None:
        errors.append(invalid(f"{path}.endPort", last, "may not be specified when `port` is not specified"))
    elif isinstance(first, str):
        errors.append(invalid(f"{path}.endPort", last, "may not be specified when `port` is non-numeric"))
    else:
        errors += invalid_each(f"{path}.endPort", last, names.port_number(last))
        if last < first:
            errors.append(invalid(f"{path}.endPort", last, "must be greater than or equal to `port`"))
    return errors


def _validate_peer(peer: Fields, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for name in ("podSelector", "namespaceSelector"):
        if name in peer:
            errors += validate_selector(peer[name], f"{path}.{name}")
    if "ipBlock" in peer:
        errors += _validate_block(peer["ipBlock"], f"{path}.ipBlock")
    if not peer:
        errors.append(required(path, "must specify a peer"))
    elif "ipBlock" in peer and len(peer) > 1:
        errors.append(forbidden(path, "may not specify both ipBlock and another peer"))
    return errors


def _validate_block(block: Fields, path: str) -> list[FieldError]:
    whole = block.get("cidr", "")
    if not whole:
        return [required(f"{path}.cidr")]
    errors = invalid_each(f"{path}.cidr", whole, names.cidr(whole))
    if errors:
        return errors
    for index, one in enumerate(block.get("except", ())):
        place = f"{path}.except[{index}]"
        wrong = names.cidr(one)
        if wrong:
            errors += invalid_each(place, one, wrong)
        elif not _strictly_within(one, whole):
            errors.append(invalid(place, one, "must be a strict subset of `cidr`"))
    return errors


def _strictly_within(inner: str, outer: str) -> bool:
    small, large = ip_network(inner, strict=False), ip_network(outer, strict=False)
    return small.version == large.version and small != large and small.subnet_of(large)  # type: ignore[arg-type]


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    return meta.validate_update(new, old) + _rules(new)


NETWORK_POLICY = Kind(
    group="networking.k8s.io",
    version="v1",
    name="NetworkPolicy",
    plural="networkpolicies",
    definition="io.k8s.api.networking.v1.NetworkPolicy",
    short_names=("netpol",),
    strategy=Strategy(
        default=_default,
        prepare_create=lifecycle.first_generation,
        prepare_update=lifecycle.bump("spec"),
        validate=lifecycle.checked(names.dns1123_subdomain, _rules),
        validate_update=_validate_update,
        columns=ingress.POLICY_COLUMNS,
        row=ingress.policy_row,
    ),
)
