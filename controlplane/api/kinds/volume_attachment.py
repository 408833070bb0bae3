"""VolumeAttachments."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import storage
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy

VOLUME_ATTACHMENT = Kind(
    group="storage.k8s.io",
    version="v1",
    name="VolumeAttachment",
    plural="volumeattachments",
    definition="io.k8s.api.storage.v1.VolumeAttachment",
    namespaced=False,
    subresources=("status",),
    strategy=Strategy(
        prepare_create=lifecycle.no_status,
        prepare_update=lifecycle.keep_status,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing, namespaced=False),
        validate_update=meta.validate_update,
        columns=storage.ATTACHMENT_COLUMNS,
        row=storage.attachment_row,
    ),
)
