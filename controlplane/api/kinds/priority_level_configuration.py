"""PriorityLevelConfigurations."""

from __future__ import annotations

from typing import Any

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import forbidden, invalid, not_supported, required
from controlplane.api.printing import extensions
from controlplane.api.rules import lifecycle
from controlplane.api.rules.numbers import non_negative
from controlplane.api.types import Kind, Object, Strategy
from controlplane.api.unsupported import kind_warnings

Fields = dict[str, Any]

DEFAULT_SHARES = 30
QUEUING = {"queues": 64, "handSize": 8, "queueLengthLimit": 50}
MOST_QUEUES = 10_000_000


def _default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    if spec.get("type") == "Exempt" or "exempt" in spec:
        exempt = spec.setdefault("exempt", {})
        exempt.setdefault("nominalConcurrencyShares", 0)
        exempt.setdefault("lendablePercent", 0)
    limited = spec.get("limited")
    if limited is None:
        return
    limited.setdefault("nominalConcurrencyShares", DEFAULT_SHARES)
    limited.setdefault("lendablePercent", 0)
    queuing = limited.get("limitResponse", {}).get("queuing")
    if queuing is not None:
        for name, value in QUEUING.items():
            queuing.setdefault(name, value)


def _rules(obj: Object) -> list[FieldError]:
    spec = obj["spec"]
    type_ = spec.get("type", "")
    if type_ not in ("Exempt", "Limited"):
        return [not_supported("spec.type", type_, ("Exempt", "Limited"))]
    if type_ == "Exempt":
        errors = non_negative(spec["exempt"], "spec.exempt", "nominalConcurrencyShares", "lendablePercent")
        if "limited" in spec:
            errors.append(forbidden("spec.limited", "must be nil if the type is not Limited"))
        return errors
    if "exempt" in spec:
        return [forbidden("spec.exempt", "must be nil if the type is Limited")]
    if "limited" not in spec:
        return [required("spec.limited", "must not be empty when type is Limited")]
    return _validate_limited(spec["limited"], "spec.limited")


def _validate_limited(limited: Fields, path: str) -> list[FieldError]:
    errors = non_negative(limited, path, "nominalConcurrencyShares", "lendablePercent", "borrowingLimitPercent")
    if limited["lendablePercent"] > 100:
        text = "must be between 0 and 100, inclusive"
        errors.append(invalid(f"{path}.lendablePercent", limited["lendablePercent"], text))
    response = limited.get("limitResponse", {})
    type_, queuing, place = response.get("type", ""), response.get("queuing"), f"{path}.limitResponse"
    if type_ == "Reject" and queuing is not None:
        errors.append(forbidden(f"{place}.queuing", "must be nil if limited.limitResponse.type is not Limited"))
    elif type_ == "Queue":
        if queuing is None:
            return [*errors, required(f"{place}.queuing", "must not be empty if limited.limitResponse.type is Limited")]
        errors += _validate_queuing(queuing, f"{place}.queuing")
    elif type_ != "Reject":
        errors.append(not_supported(f"{place}.type", type_, ("Queue", "Reject")))
    return errors


def _validate_queuing(queuing: Fields, path: str) -> list[FieldError]:
    errors = [invalid(f"{path}.{name}", queuing[name], "must be positive") for name in QUEUING if queuing[name] <= 0]
    if queuing["queues"] > MOST_QUEUES:
        errors.append(invalid(f"{path}.queues", queuing["queues"], f"must not be greater than {MOST_QUEUES}"))
    if queuing["handSize"] > queuing["queues"]:
        text = f"should not be greater than queues ({queuing['queues']})"
        errors.append(invalid(f"{path}.handSize", queuing["handSize"], text))
    return errors


PRIORITY_LEVEL_CONFIGURATION = Kind(
    group="flowcontrol.apiserver.k8s.io",
    version="v1",
    name="PriorityLevelConfiguration",
    plural="prioritylevelconfigurations",
    definition="io.k8s.api.flowcontrol.v1.PriorityLevelConfiguration",
    namespaced=False,
    subresources=("status",),
    strategy=Strategy(
        default=_default,
        prepare_create=lifecycle.new_spec,
        prepare_update=lifecycle.update_spec,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, _rules, namespaced=False),
        validate_update=lambda new, old: meta.validate_update(new, old) + _rules(new),
        warnings=kind_warnings,
        columns=extensions.PRIORITY_LEVEL_COLUMNS,
        row=extensions.priority_level_row,
    ),
)
