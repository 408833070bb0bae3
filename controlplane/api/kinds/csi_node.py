"""CSINodes: which drivers there are on a node; named as the node is."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import duplicate, invalid, required
from controlplane.api.kinds.csi_driver import driver_name
from controlplane.api.printing import storage
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Object, Strategy

LONGEST_ID = 256


def _default(obj: Object) -> None:
    obj.setdefault("spec", {})


def _rules(obj: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    taken: set[str] = set()
    for index, driver in enumerate(obj["spec"].get("drivers", ())):
        place, name, node = f"spec.drivers[{index}]", driver.get("name", ""), driver.get("nodeID", "")
        errors += driver_name(name, f"{place}.name")
        if name in taken:
            errors.append(duplicate(f"{place}.name", name))
        taken.add(name)
        if not node:
            errors.append(required(f"{place}.nodeID"))
        if len(node) > LONGEST_ID:
            errors.append(invalid(f"{place}.nodeID", node, f"must be {LONGEST_ID} characters or less"))
        count = driver.get("allocatable", {}).get("count")
        if count is not None and count < 0:
            errors.append(invalid(f"{place}.allocatable.count", count, names.NON_NEGATIVE))
        keys = driver.get("topologyKeys", [])
        for number, key in enumerate(keys):
            errors += [invalid(f"{place}.topologyKeys[{number}]", key, text) for text in names.label_key(key)]
            if key in keys[:number]:
                errors.append(duplicate(f"{place}.topologyKeys[{number}]", key))
    return errors


CSI_NODE = Kind(
    group="storage.k8s.io",
    version="v1",
    name="CSINode",
    plural="csinodes",
    definition="io.k8s.api.storage.v1.CSINode",
    namespaced=False,
    subresources=("status",),
    strategy=Strategy(
        default=_default,
        prepare_update=lifecycle.keep_status,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, _rules, namespaced=False),
        validate_update=lambda new, old: meta.validate_update(new, old) + _rules(new),
        columns=storage.NODE_COLUMNS,
        row=storage.node_row,
    ),
)
