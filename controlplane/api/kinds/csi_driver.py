"""CSIDrivers."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import IMMUTABLE, duplicate, invalid, invalid_each, not_supported, required
from controlplane.api.printing import storage
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Object, Strategy

LONGEST_NAME = 63
DEFAULTS = {
    "attachRequired": True,
    "podInfoOnMount": False,
    "storageCapacity": False,
    "fsGroupPolicy": "ReadWriteOnceWithFSType",
    "volumeLifecycleModes": ["Persistent"],
    "requiresRepublish": False,
    "seLinuxMount": False,
}
FS_GROUP_POLICIES = ("File", "None", "ReadWriteOnceWithFSType")
MODES = ("Ephemeral", "Persistent")
_UNCHANGING = ("attachRequired", "volumeLifecycleModes")


def _default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    for name, value in DEFAULTS.items():
        spec.setdefault(name, list(value) if isinstance(value, list) else value)


def driver_name(value: str, path: str) -> list[FieldError]:
    """Every error in the name of a CSI driver."""
    if not value:
        return [required(path)]
    errors: list[FieldError] = []
    if len(value) > LONGEST_NAME:
        errors.append(FieldError("FieldValueTooLong", path, f"Too long: may not be more than {LONGEST_NAME} bytes"))
    return errors + invalid_each(path, value, names.dns1123_subdomain(value.lower()))


def _rules(obj: Object) -> list[FieldError]:
    spec = obj["spec"]
    errors = driver_name(obj["metadata"].get("name", ""), "metadata.name")
    if spec["fsGroupPolicy"] not in FS_GROUP_POLICIES:
        errors.append(not_supported("spec.fsGroupPolicy", spec["fsGroupPolicy"], FS_GROUP_POLICIES))
    audiences: set[str] = set()
    for index, request in enumerate(spec.get("tokenRequests", ())):
        place, audience = f"spec.tokenRequests[{index}]", request.get("audience", "")
        if audience in audiences:
            errors.append(duplicate(f"{place}.audience", audience))
        audiences.add(audience)
        seconds = request.get("expirationSeconds")
        if seconds is not None and seconds < 600:
            errors.append(
                invalid(f"{place}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
            )
    for mode in spec["volumeLifecycleModes"]:
        if mode not in MODES:
            errors.append(not_supported("spec.volumeLifecycleModes", mode, MODES))
    return errors


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old) + _rules(new)
    return errors + [
        invalid(f"spec.{name}", new["spec"][name], IMMUTABLE)
        for name in _UNCHANGING
        if new["spec"][name] != old["spec"].get(name)
    ]


CSI_DRIVER = Kind(
    group="storage.k8s.io",
    version="v1",
    name="CSIDriver",
    plural="csidrivers",
    definition="io.k8s.api.storage.v1.CSIDriver",
    namespaced=False,
    strategy=Strategy(
        default=_default,
        validate=lifecycle.checked(lambda name: [], _rules, namespaced=False),
        validate_update=_validate_update,
        columns=storage.DRIVER_COLUMNS,
        row=storage.driver_row,
    ),
)
