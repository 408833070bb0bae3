"""What strategies of kinds without a pod template have in common: status apart, generation, name rules."""

from __future__ import annotations

from collections.abc import Callable

from controlplane.api import meta
from controlplane.api.errors import FieldError
from controlplane.api.types import Object

Validate = Callable[[Object], list[FieldError]]
ValidateUpdate = Callable[[Object, Object], list[FieldError]]


def first_generation(obj: Object) -> None:
    """A new object is of generation 1."""
    obj["metadata"]["generation"] = 1


def new_spec(obj: Object) -> None:
    """A new object has no status and is of generation 1."""
    first_generation(obj)
    obj["status"] = {}


def no_status(obj: Object) -> None:
    """A new object has no status."""
    obj["status"] = {}


def bump(*parts: str) -> Callable[[Object, Object], None]:
    """Raises the generation where one of the top-level `parts` changes."""

    def prepare_update(new: Object, old: Object) -> None:
        meta.bump_generation(new, old, *parts)

    return prepare_update


def keep_status(new: Object, old: Object) -> None:
    """The main resource leaves the status as it is; the kind has no generation."""
    meta.restore(new, old, "status")


def update_spec(new: Object, old: Object) -> None:
    """The main resource leaves the status as it is; the generation follows the spec."""
    meta.restore(new, old, "status")
    meta.bump_generation(new, old, "spec")


def update_status(new: Object, old: Object) -> None:
    """/status leaves the spec as it is."""
    meta.restore(new, old, "spec")


def checked(check: meta.NameCheck, rules: Validate, *, namespaced: bool = True) -> Validate:
    """`validate` of a kind whose names obey `check`, and whose other fields obey `rules`."""
    return lambda obj: [*meta.validate(obj, check, namespaced=namespaced), *rules(obj)]


def checked_update(rules: Validate) -> ValidateUpdate:
    """`validate_update` of a kind where `rules` hold for the new object, whatever the old one was."""
    return lambda new, old: [*meta.validate_update(new, old), *rules(new)]


def nothing(_obj: Object) -> list[FieldError]:
    """No rules besides those of names."""
    return []
