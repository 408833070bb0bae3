"""VolumeAttributesClasses."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import storage
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy

VOLUME_ATTRIBUTES_CLASS = Kind(
    group="storage.k8s.io",
    version="v1",
    name="VolumeAttributesClass",
    plural="volumeattributesclasses",
    definition="io.k8s.api.storage.v1.VolumeAttributesClass",
    namespaced=False,
    short_names=("vac",),
    strategy=Strategy(
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing, namespaced=False),
        validate_update=meta.validate_update,
        columns=storage.ATTRIBUTES_CLASS_COLUMNS,
        row=storage.attributes_class_row,
    ),
)
