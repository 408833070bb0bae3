"""Paths inside of a volume or of a directory of the node."""

from __future__ import annotations

from controlplane.api.errors import FieldError
from controlplane.api.field import invalid


def descending_path(value: str, path: str) -> list[FieldError]:
    """A relative path that does not climb."""
    errors: list[FieldError] = []
    if value.startswith("/"):
        errors.append(invalid(path, value, "must be a relative path"))
    if ".." in value.split("/"):
        errors.append(invalid(path, value, "must not contain '..'"))
    return errors
