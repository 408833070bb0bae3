"""Constructors of field errors, and how upstream prints the value that was wrong.

Wording and cause reasons follow k8s.io/apimachinery/pkg/util/validation/field. A path is the plain
string that is printed, e.g. `spec.containers[0].image`; it is only built where an error is found.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from controlplane.api.errors import FieldError

IMMUTABLE = "field is immutable"


def required(path: str, detail: str = "") -> FieldError:
    """A value that must be there is not."""
    return FieldError("FieldValueRequired", path, f"Required value: {detail}" if detail else "Required value")


def invalid(path: str, value: Any, detail: str) -> FieldError:
    """A value is malformed; `detail` says what it must be."""
    return FieldError("FieldValueInvalid", path, f"Invalid value: {shown(value)}: {detail}")


def duplicate(path: str, value: Any) -> FieldError:
    """A value that must be unique comes a second time."""
    return FieldError("FieldValueDuplicate", path, f"Duplicate value: {shown(value)}")


def not_supported(path: str, value: Any, supported: Iterable[str]) -> FieldError:
    """A value is none of an enumeration's."""
    values = ", ".join(quoted(one) for one in supported)
    return FieldError("FieldValueNotSupported", path, f"Unsupported value: {shown(value)}: supported values: {values}")


def forbidden(path: str, detail: str) -> FieldError:
    """A value is well formed, and not permitted here."""
    return FieldError("FieldValueForbidden", path, f"Forbidden: {detail}")


def too_long(path: str, maximum: int) -> FieldError:
    """A value has more than `maximum` bytes."""
    return FieldError("FieldValueTooLong", path, f"Too long: may not be more than {maximum} bytes")


def too_many(path: str, actual: int, maximum: int) -> FieldError:
    """A list has more than `maximum` items."""
    return FieldError("FieldValueTooMany", path, f"Too many: {actual}: must have at most {maximum} items")


def not_found(path: str, value: Any) -> FieldError:
    """A value names something that is not there."""
    return FieldError("FieldValueNotFound", path, f"Not found: {shown(value)}")


def invalid_each(path: str, value: Any, details: Iterable[str]) -> list[FieldError]:
    """One `invalid` for each of `details`."""
    return [invalid(path, value, detail) for detail in details]


def shown(value: Any) -> str:
    """A bad value as messages print it: strings quoted, everything else as JSON."""
    return quoted(value) if isinstance(value, str) else orjson.dumps(value).decode()


def quoted(text: str) -> str:
    """`text` as Go's %q prints it, for the characters that occur in objects."""
    return orjson.dumps(text).decode()
