"""VolumeAttachments."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid, invalid_each, required
from controlplane.api.kinds.csi_driver import driver_name
from controlplane.api.printing import storage
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Object, Strategy


def _default(obj: Object) -> None:
    obj.setdefault("spec", {})


def _prepare_create(obj: Object) -> None:
    obj["status"] = {"attached": False}


def _rules(obj: Object) -> list[FieldError]:
    spec = obj["spec"]
    errors = driver_name(spec.get("attacher", ""), "spec.attacher")
    source = spec.get("source", {})
    name, inline = source.get("persistentVolumeName"), source.get("inlineVolumeSpec")
    if name is None and inline is None:
        errors.append(required("spec.source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName"))
    elif name is not None and inline is not None:
        text = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
        errors.append(invalid("spec.source", source, text))
    elif name is not None:
        place = "spec.source.persistentVolumeName"
        errors += (
            invalid_each(place, name, names.dns1123_subdomain(name))
            if name
            else [required(place, "must specify non empty persistentVolumeName")]
        )
    node = spec.get("nodeName", "")
    return errors + invalid_each("spec.nodeName", node, names.dns1123_subdomain(node))


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old) + _rules(new)
    if new["spec"] != old["spec"]:
        errors.append(invalid("spec", new["spec"], "field is immutable"))
    return errors


VOLUME_ATTACHMENT = Kind(
    group="storage.k8s.io",
    version="v1",
    name="VolumeAttachment",
    plural="volumeattachments",
    definition="io.k8s.api.storage.v1.VolumeAttachment",
    namespaced=False,
    subresources=("status",),
    strategy=Strategy(
        default=_default,
        prepare_create=_prepare_create,
        prepare_update=lifecycle.keep_status,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, _rules, namespaced=False),
        validate_update=_validate_update,
        columns=storage.ATTACHMENT_COLUMNS,
        row=storage.attachment_row,
    ),
)
