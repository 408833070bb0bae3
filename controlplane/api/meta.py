"""Object metadata: what the system fills in, what may be there, what an update may change.

`prepare_create` and `prepare_update` are the metadata half of upstream's BeforeCreate and
BeforeUpdate; the registry calls them before the strategy's own hooks. The validators are called
from each kind's strategy, with the rule for names of that kind.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from controlplane.api import names
from controlplane.api.errors import FieldError
from controlplane.api.field import IMMUTABLE, forbidden, invalid, invalid_each, required, shown, too_long
from controlplane.api.types import Object
from controlplane.api.uids import new_uid

NameCheck = Callable[[str], list[str]]

GENERATED_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
GENERATED_LENGTH = 5
GENERATED_BASE_LENGTH = 63 - GENERATED_LENGTH
ANNOTATIONS_BYTES = 256 * 1024

ORPHAN, FOREGROUND = "orphan", "foregroundDeletion"

_SYSTEM_FIELDS = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")
_IMMUTABLE_FIELDS = (
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)


def timestamp(seconds: float | None = None) -> str:
    """`metav1.Time` of `seconds` since the epoch, of now when None."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def generate_name(base: str) -> str:
    """`base`, cut to 58 characters, and five random ones, as upstream's SimpleNameGenerator."""
    return base[:GENERATED_BASE_LENGTH] + "".join(random.choices(GENERATED_ALPHABET, k=GENERATED_LENGTH))


def prepare_create(obj: Object) -> None:
    """Fills in, in place, what the system owns (name, uid, creationTimestamp), and drops what a caller may not set."""
    metadata = obj.setdefault("metadata", {})
    for name in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation", "resourceVersion"):
        metadata.pop(name, None)
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = generate_name(metadata["generateName"])
    metadata["uid"] = new_uid()
    metadata["creationTimestamp"] = timestamp()


def prepare_update(new: Object, old: Object) -> None:
    """Puts back, in place, the system's fields that the caller left out; `validate_update` judges what it changed."""
    metadata, before = new.setdefault("metadata", {}), old["metadata"]
    metadata.pop("selfLink", None)
    for name in _SYSTEM_FIELDS:
        if name not in before:
            metadata.pop(name, None)
        elif name == "generation" or not metadata.get(name):
            metadata[name] = before[name]


def bump_generation(new: Object, old: Object, *parts: str) -> None:
    """Raises metadata.generation of `new` when any of the top-level `parts` differs from `old`."""
    generation = old["metadata"].get("generation", 0)
    changed = any(new.get(part) != old.get(part) for part in parts)
    if generation or changed:
        new["metadata"]["generation"] = generation + changed


def restore(new: Object, old: Object, *parts: str) -> None:
    """Puts the top-level `parts` of `old` into `new`, absent ones included."""
    for part in parts:
        if part in old:
            new[part] = old[part]
        else:
            new.pop(part, None)


def validate(obj: Object, name_check: NameCheck, *, namespaced: bool = True) -> list[FieldError]:
    """Every error in the metadata of an object about to be created."""
    metadata = obj["metadata"]
    errors: list[FieldError] = []
    generate = metadata.get("generateName")
    if generate:
        masked = generate[:-1] + "a" if generate.endswith("-") and len(generate) > 1 else generate
        errors += invalid_each("metadata.generateName", generate, name_check(masked))
    name = metadata.get("name")
    if not name:
        errors.append(required("metadata.name", "name or generateName is required"))
    else:
        errors += invalid_each("metadata.name", name, name_check(name))
    namespace = metadata.get("namespace")
    if namespaced:
        if not namespace:
            errors.append(required("metadata.namespace"))
        else:
            errors += invalid_each("metadata.namespace", namespace, names.dns1123_label(namespace))
    elif namespace:
        errors.append(forbidden("metadata.namespace", "not allowed on this type"))
    return errors + _validate_common(metadata)


def validate_update(new: Object, old: Object) -> list[FieldError]:
    """Every error in the metadata of an object about to replace `old`."""
    metadata, before = new["metadata"], old["metadata"]
    errors: list[FieldError] = []
    if before.get("deletionTimestamp"):
        extra = sorted(set(metadata.get("finalizers", ())) - set(before.get("finalizers", ())))
        if extra:
            found = "[]string{" + ", ".join(shown(name) for name in extra) + "}"
            text = f"no new finalizers can be added if the object is being deleted, found new finalizers {found}"
            errors.append(forbidden("metadata.finalizers", text))
    if not metadata.get("resourceVersion"):
        errors.append(invalid("metadata.resourceVersion", "", "must be specified for an update"))
    for name in _IMMUTABLE_FIELDS:
        if metadata.get(name) != before.get(name):
            errors.append(invalid(f"metadata.{name}", metadata.get(name), IMMUTABLE))
    return errors + _validate_common(metadata)


def _validate_common(metadata: Mapping[str, Any]) -> list[FieldError]:
    errors: list[FieldError] = []
    if "labels" in metadata:
        errors += validate_labels(metadata["labels"], "metadata.labels")
    if "annotations" in metadata:
        errors += validate_annotations(metadata["annotations"], "metadata.annotations")
    if "ownerReferences" in metadata:
        errors += _validate_owners(metadata["ownerReferences"], "metadata.ownerReferences")
    if "finalizers" in metadata:
        errors += _validate_finalizers(metadata["finalizers"], "metadata.finalizers")
    return errors


def validate_labels(labels: Mapping[str, str], path: str) -> list[FieldError]:
    """Every error in a map of labels."""
    errors: list[FieldError] = []
    for key, value in labels.items():
        errors += invalid_each(path, key, names.label_key(key))
        errors += invalid_each(path, value, names.label_value(value))
    return errors


def validate_annotations(annotations: Mapping[str, str], path: str) -> list[FieldError]:
    """Every error in a map of annotations."""
    errors: list[FieldError] = []
    for key in annotations:
        errors += invalid_each(path, key, names.label_key(key.lower()))
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > ANNOTATIONS_BYTES:
        errors.append(too_long(path, ANNOTATIONS_BYTES))
    return errors


def _validate_owners(owners: Iterable[Mapping[str, Any]], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    controller = ""
    for owner in owners:
        version = owner.get("apiVersion", "")
        if not version.rpartition("/")[2]:
            errors.append(invalid(f"{path}.apiVersion", version, "version must not be empty"))
        for name in ("kind", "name", "uid"):
            if not owner.get(name):
                errors.append(invalid(f"{path}.{name}", "", "must not be empty"))
        if (version, owner.get("kind")) == ("v1", "Event"):
            errors.append(invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner"))
        if owner.get("controller"):
            this = f"{owner.get('kind')}/{owner.get('name')}"
            if controller:
                text = f'Found "true" in references for {controller} and {this}'
                errors.append(invalid(path, owners, f"Only one reference can have Controller set to true. {text}"))
            controller = controller or this
    return errors


def _validate_finalizers(finalizers: list[str], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for name in finalizers:
        errors += invalid_each(path, name, names.label_key(name))
    if ORPHAN in finalizers and FOREGROUND in finalizers:
        errors.append(invalid(path, finalizers, f"finalizer {ORPHAN} and {FOREGROUND} cannot be both set"))
    return errors
