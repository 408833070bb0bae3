"""APIServices."""

from __future__ import annotations

from collections.abc import Iterator

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid, required
from controlplane.api.printing import extensions
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Object, Strategy

HIGHEST = {"groupPriorityMinimum": 20000, "versionPriority": 1000}


def _default(obj: Object) -> None:
    service = obj.setdefault("spec", {}).get("service")
    if service is not None:
        service.setdefault("port", 443)


def _validate(obj: Object) -> list[FieldError]:
    spec = obj["spec"]
    wanted = f"{spec.get('version', '')}.{spec.get('group', '')}"

    def check_name(name: str) -> list[str]:
        return [] if name == wanted else ['must be `spec.version+"."+spec.group`']

    return [*meta.validate(obj, check_name, namespaced=False), *_spec_errors(spec)]


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    return [*meta.validate_update(new, old), *_spec_errors(new["spec"])]


def _spec_errors(spec: Object) -> Iterator[FieldError]:
    service = spec.get("service")
    if not spec.get("group") and service is not None:
        yield required("spec.group", "only v1 may have an empty group and it better be legacy kube")
    for text in names.dns1035_label(spec.get("version", "")):
        yield invalid("spec.version", spec.get("version", ""), text)
    for name, highest in HIGHEST.items():
        value = spec.get(name, 0)
        if not 0 < value <= highest:
            yield invalid(f"spec.{name}", value, f"must be positive and less than {highest}")
    if service is None:
        if spec.get("caBundle"):
            yield invalid("spec.caBundle", "(redacted)", "local APIServices may not have a caBundle")
        if spec.get("insecureSkipTLSVerify"):
            text = "local APIServices may not have insecureSkipTLSVerify"
            yield invalid("spec.insecureSkipTLSVerify", True, text)
        return
    for name in ("namespace", "name"):
        if not service.get(name):
            yield required(f"spec.service.{name}")
    for text in names.port_number(service.get("port", 443)):
        yield invalid("spec.service.port", service["port"], f"port is not valid: {text}")
    if spec.get("insecureSkipTLSVerify") and spec.get("caBundle"):
        yield invalid("spec.insecureSkipTLSVerify", True, "may not be true if caBundle is present")


API_SERVICE = Kind(
    group="apiregistration.k8s.io",
    version="v1",
    name="APIService",
    plural="apiservices",
    definition="io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService",
    namespaced=False,
    categories=("api-extensions",),
    subresources=("status",),
    needs_version=True,
    strategy=Strategy(
        default=_default,
        prepare_create=lifecycle.no_status,
        prepare_update=lifecycle.keep_status,
        prepare_status_update=lifecycle.update_status,
        validate=_validate,
        validate_update=_validate_update,
        columns=extensions.API_SERVICE_COLUMNS,
        row=extensions.api_service_row,
    ),
)
