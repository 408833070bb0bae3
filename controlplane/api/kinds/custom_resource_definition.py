"""CustomResourceDefinitions."""

from __future__ import annotations

from controlplane.api.custom import definition
from controlplane.api.errors import FieldError
from controlplane.api.printing import extensions
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Object, Strategy


def _validate_status_update(new: Object, _old: Object) -> list[FieldError]:
    return definition.validate_status(new)


CUSTOM_RESOURCE_DEFINITION = Kind(
    group="apiextensions.k8s.io",
    version="v1",
    name="CustomResourceDefinition",
    plural="customresourcedefinitions",
    definition="io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition",
    namespaced=False,
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    subresources=("status",),
    needs_version=True,
    strategy=Strategy(
        default=definition.default,
        prepare_create=definition.prepare_create,
        prepare_update=definition.prepare_update,
        prepare_status_update=lifecycle.update_status,
        validate=definition.validate,
        validate_update=definition.validate_update,
        validate_status_update=_validate_status_update,
        warnings=definition.warnings,
        columns=extensions.CREATED_COLUMNS,
        row=extensions.created_row,
    ),
)
