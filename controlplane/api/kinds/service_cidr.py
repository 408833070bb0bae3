"""ServiceCIDRs."""

from __future__ import annotations

from ipaddress import ip_network

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import IMMUTABLE, invalid, invalid_each, required
from controlplane.api.printing import ingress
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Object, Strategy
from controlplane.api.unsupported import kind_warnings

MOST = 2


def _rules(obj: Object) -> list[FieldError]:
    ranges = obj.get("spec", {}).get("cidrs", [])
    if not ranges:
        return [required("spec.cidrs", "at least one CIDR required")]
    if len(ranges) > MOST:
        return [invalid("spec.cidrs", ranges, "may only hold up to 2 values")]
    errors: list[FieldError] = []
    for index, one in enumerate(ranges):
        errors += invalid_each(f"spec.cidrs[{index}]", one, names.cidr(one))
    if not errors and len({ip_network(one, strict=False).version for one in ranges}) < len(ranges):
        errors.append(
            invalid(
                "spec.cidrs",
                ranges,
                "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64",
            )
        )
    return errors


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old)
    if new.get("spec") != old.get("spec"):
        errors.append(invalid("spec.cidrs", new.get("spec", {}).get("cidrs", []), IMMUTABLE))
    return errors


SERVICE_CIDR = Kind(
    group="networking.k8s.io",
    version="v1",
    name="ServiceCIDR",
    plural="servicecidrs",
    definition="io.k8s.api.networking.v1.ServiceCIDR",
    namespaced=False,
    subresources=("status",),
    strategy=Strategy(
        prepare_create=lifecycle.no_status,
        prepare_update=lifecycle.keep_status,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, _rules, namespaced=False),
        validate_update=_validate_update,
        warnings=kind_warnings,
        columns=ingress.SERVICE_CIDR_COLUMNS,
        row=ingress.service_cidr_row,
    ),
)
