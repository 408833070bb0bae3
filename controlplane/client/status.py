"""From a `Status` object back to the error that it was made of."""

from __future__ import annotations

from typing import Any

from controlplane.api import errors
from controlplane.api.types import Object

_CLASSES: tuple[type[errors.ApiError], ...] = (
    errors.BadRequest,
    errors.Unauthorized,
    errors.Forbidden,
    errors.NotFound,
    errors.MethodNotAllowed,
    errors.NotAcceptable,
    errors.AlreadyExists,
    errors.Conflict,
    errors.Expired,
    errors.RequestTooLarge,
    errors.UnsupportedMediaType,
    errors.Invalid,
    errors.TooManyRequests,
    errors.StorageError,
)
_BY_REASON = {cls.reason: cls for cls in _CLASSES if cls.reason != "InternalError"}
_BY_CODE = {cls.code: cls for cls in reversed(_CLASSES)}


def error_of(status: Object) -> errors.ApiError:
    """The error that a server's answer stands for: by its reason, else by its code."""
    code = int(status.get("code", 500))
    found: Any = _BY_REASON.get(status.get("reason", "")) or _BY_CODE.get(code, errors.InternalError)
    error: errors.ApiError = found(status.get("message", f"status {code}"), details=status.get("details"))
    return error
