"""IngressClasses."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import IMMUTABLE, forbidden, invalid, invalid_each, not_supported, required, too_long
from controlplane.api.printing import ingress
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Object, Strategy

LONGEST_CONTROLLER = 250
SCOPES = ("Cluster", "Namespace")


def _default(obj: Object) -> None:
    parameters = obj.setdefault("spec", {}).get("parameters")
    if parameters is not None:
        parameters.setdefault("scope", "Cluster")


def _rules(obj: Object) -> list[FieldError]:
    controller = obj["spec"].get("controller", "")
    place = "spec.controller"
    errors = [too_long(place, LONGEST_CONTROLLER)] if len(controller) > LONGEST_CONTROLLER else []
    if not controller:
        errors.append(required(place))
    else:
        errors += invalid_each(place, controller, names.domain_prefixed_path(controller))
    return errors + _validate_parameters(obj["spec"].get("parameters"), "spec.parameters")


def _validate_parameters(parameters: Object | None, path: str) -> list[FieldError]:
    if parameters is None:
        return []
    errors = [required(f"{path}.{name}") for name in ("kind", "name") if not parameters.get(name)]
    scope, namespace = parameters["scope"], parameters.get("namespace")
    if scope not in SCOPES:
        errors.append(not_supported(f"{path}.scope", scope, SCOPES))
    elif scope == "Namespace" and not namespace:
        errors.append(required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'"))
    elif scope == "Cluster" and namespace is not None:
        errors.append(forbidden(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'"))
    return errors


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old) + _rules(new)
    controller = new["spec"].get("controller", "")
    if controller != old["spec"].get("controller", ""):
        errors.append(invalid("spec.controller", controller, IMMUTABLE))
    return errors


INGRESS_CLASS = Kind(
    group="networking.k8s.io",
    version="v1",
    name="IngressClass",
    plural="ingressclasses",
    definition="io.k8s.api.networking.v1.IngressClass",
    namespaced=False,
    strategy=Strategy(
        default=_default,
        prepare_create=lifecycle.first_generation,
        prepare_update=lifecycle.bump("spec"),
        validate=lifecycle.checked(names.dns1123_subdomain, _rules, namespaced=False),
        validate_update=_validate_update,
        columns=ingress.INGRESS_CLASS_COLUMNS,
        row=ingress.ingress_class_row,
    ),
)
