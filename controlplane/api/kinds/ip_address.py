"""IPAddresses: an address of a Service range as an object, named by itself."""

from __future__ import annotations

from ipaddress import ip_address

from controlplane.api import meta
from controlplane.api.errors import FieldError
from controlplane.api.field import IMMUTABLE, invalid, required
from controlplane.api.printing import ingress
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Object, Strategy
from controlplane.api.unsupported import kind_warnings


def _name(value: str) -> list[str]:
    """Names are addresses in their one canonical form."""
    try:
        canonical = str(ip_address(value))
    except ValueError:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    return [] if canonical == value else [f'must be in canonical form ("{canonical}")']


def _rules(obj: Object) -> list[FieldError]:
    parent = obj.get("spec", {}).get("parentRef")
    if parent is None:
        return [required("spec.parentRef")]
    return [required(f"spec.parentRef.{name}") for name in ("resource", "name") if not parent.get(name)]


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old)
    if new.get("spec") != old.get("spec"):
        parent = new.get("spec", {}).get("parentRef")
        errors.append(invalid("spec.parentRef", parent, IMMUTABLE))
    return errors


IP_ADDRESS = Kind(
    group="networking.k8s.io",
    version="v1",
    name="IPAddress",
    plural="ipaddresses",
    definition="io.k8s.api.networking.v1.IPAddress",
    namespaced=False,
    short_names=("ip",),
    strategy=Strategy(
        validate=lifecycle.checked(_name, _rules, namespaced=False),
        validate_update=_validate_update,
        warnings=kind_warnings,
        columns=ingress.IP_ADDRESS_COLUMNS,
        row=ingress.ip_address_row,
    ),
)
