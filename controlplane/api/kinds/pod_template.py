"""PodTemplates: data, as nothing makes pods of them."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.printing import quota
from controlplane.api.rules import lifecycle
from controlplane.api.rules.podspec import default_template, validate_template
from controlplane.api.types import Kind, Object, Strategy


def _default(obj: Object) -> None:
    default_template(obj.setdefault("template", {}))


def _rules(obj: Object) -> list[FieldError]:
    return validate_template(obj["template"], "template")


POD_TEMPLATE = Kind(
    group="",
    version="v1",
    name="PodTemplate",
    plural="podtemplates",
    definition="io.k8s.api.core.v1.PodTemplate",
    strategy=Strategy(
        default=_default,
        prepare_create=lifecycle.first_generation,
        prepare_update=lifecycle.bump("template"),
        validate=lifecycle.checked(names.dns1123_subdomain, _rules),
        validate_update=lambda new, old: meta.validate_update(new, old) + _rules(new),
        columns=quota.POD_TEMPLATE_COLUMNS,
        row=quota.pod_template_row,
    ),
)
