"""Errors of the API, and the one place where they become `Status` objects.

    ApiError                 code  reason
    ├── BadRequest            400  BadRequest
    ├── Unauthorized          401  Unauthorized
    ├── Forbidden             403  Forbidden
    ├── NotFound              404  NotFound
    ├── MethodNotAllowed      405  MethodNotAllowed
    ├── NotAcceptable         406  NotAcceptable
    ├── AlreadyExists         409  AlreadyExists
    ├── Conflict              409  Conflict
    ├── Expired               410  Expired
    ├── RequestTooLarge       413  RequestEntityTooLarge
    ├── UnsupportedMediaType  415  UnsupportedMediaType
    ├── Invalid               422  Invalid
    ├── TooManyRequests       429  TooManyRequests
    ├── InternalError         500  InternalError
    ├── ServiceUnavailable    503  ServiceUnavailable
    ├── TimedOut              504  Timeout
    └── StorageError          507  InternalError: the write was refused, the store is whole

Codes, reasons and causes follow k8s.io/apimachinery/pkg/api/errors; field errors follow
pkg/util/validation/field.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


class ApiError(Exception):
    """An answer of the API other than success. `details` is the `Status.details` object."""

    code = 500
    reason = "InternalError"

    def __init__(self, message: str, *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = dict(details) if details else None

    def status(self) -> dict[str, Any]:
        """The `v1.Status` object sent to clients."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
        }
        if self.details:
            status["details"] = self.details
        status["code"] = self.code
        return status


class BadRequest(ApiError):
    code, reason = 400, "BadRequest"


class Unauthorized(ApiError):
    code, reason = 401, "Unauthorized"


class Forbidden(ApiError):
    code, reason = 403, "Forbidden"


class NotFound(ApiError):
    code, reason = 404, "NotFound"


class MethodNotAllowed(ApiError):
    code, reason = 405, "MethodNotAllowed"


class NotAcceptable(ApiError):
    code, reason = 406, "NotAcceptable"


class AlreadyExists(ApiError):
    code, reason = 409, "AlreadyExists"


class Conflict(ApiError):
    code, reason = 409, "Conflict"


class Expired(ApiError):
    """A version that is forgotten; `continue_token` begins where a list stopped, at the present version."""

    code, reason = 410, "Expired"
    continue_token = ""

    def status(self) -> dict[str, Any]:
        """As of any error, with the token where a list keeps it."""
        found = super().status()
        return found | {"metadata": {"continue": self.continue_token}} if self.continue_token else found


class RequestTooLarge(ApiError):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(ApiError):
    code, reason = 415, "UnsupportedMediaType"


class Invalid(ApiError):
    """The object is well-formed and wrong; `details.causes` names each field."""

    code, reason = 422, "Invalid"

    @classmethod
    def of(cls, group: str, kind: str, name: str, errors: Iterable[FieldError]) -> Invalid:
        """Joins field errors as upstream's NewInvalid does: one as it is, several in brackets."""
        found = list(errors)
        texts = [str(error) for error in found]
        joined = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
        shown = f"{kind}.{group}" if group else kind
        causes = [{"reason": e.type, "message": e.body, "field": e.field} for e in found]
        details = {"name": name, "group": group, "kind": kind, "causes": causes}
        return cls(f'{shown} "{name}" is invalid: {joined}', details={k: v for k, v in details.items() if v})


class TooManyRequests(ApiError):
    code, reason = 429, "TooManyRequests"


class InternalError(ApiError):
    pass


class ServiceUnavailable(ApiError):
    code, reason = 503, "ServiceUnavailable"


class TimedOut(ApiError):
    code, reason = 504, "Timeout"


class StorageError(ApiError):
    code = 507


@dataclass(frozen=True, slots=True)
class FieldError:
    """One validation error: `type` is upstream's cause reason, e.g. "FieldValueRequired"; `field` a
    path such as "spec.containers[0].image"; `body` the text after the path, e.g. "Required value"."""

    type: str
    field: str
    body: str

    def __str__(self) -> str:
        return f"{self.field}: {self.body}"


def namespace_terminates(error: ApiError) -> bool:
    """Whether a create failed because its namespace is on its way out, or gone, which is nobody's fault."""
    details = error.details or {}
    if isinstance(error, NotFound):
        return bool(details.get("kind") == "namespaces")
    return any(cause.get("reason") == "NamespaceTerminating" for cause in details.get("causes") or ())
