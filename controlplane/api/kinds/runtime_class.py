"""RuntimeClasses."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import IMMUTABLE, invalid, invalid_each, required
from controlplane.api.printing import devices
from controlplane.api.rules import lifecycle
from controlplane.api.rules.numbers import whole_quantity
from controlplane.api.rules.scheduling import validate_tolerations
from controlplane.api.types import Kind, Object, Strategy


def _rules(obj: Object) -> list[FieldError]:
    handler = obj.get("handler", "")
    errors = invalid_each("handler", handler, names.dns1123_label(handler)) if handler else [required("handler")]
    for name, value in obj.get("overhead", {}).get("podFixed", {}).items():
        wrong = whole_quantity(value, f"overhead.podFixed[{name}]")
        errors += [one for one in wrong if name != "cpu" or not one.body.endswith(names.INTEGER)]
    scheduling = obj.get("scheduling", {})
    errors += meta.validate_labels(scheduling.get("nodeSelector", {}), "scheduling.nodeSelector")
    return errors + validate_tolerations(scheduling.get("tolerations", ()), "scheduling.tolerations")


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old)
    if new.get("handler") != old.get("handler"):
        errors.append(invalid("handler", new.get("handler", ""), IMMUTABLE))
    return errors


RUNTIME_CLASS = Kind(
    group="node.k8s.io",
    version="v1",
    name="RuntimeClass",
    plural="runtimeclasses",
    definition="io.k8s.api.node.v1.RuntimeClass",
    namespaced=False,
    put_creates=True,
    strategy=Strategy(
        validate=lifecycle.checked(names.dns1123_subdomain, _rules, namespaced=False),
        validate_update=_validate_update,
        columns=devices.RUNTIME_CLASS_COLUMNS,
        row=devices.runtime_class_row,
    ),
)
