"""`AdmissionReview` in admission.k8s.io/v1 and v1beta1: the question as it is sent, the answer as it is understood."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import orjson

from controlplane.api.errors import ApiError
from controlplane.api.types import Kind, Object
from controlplane.server import versions
from controlplane.server.admission import Attributes
from controlplane.server.views import view_of

GROUP = "admission.k8s.io"
VERSIONS = ("v1", "v1beta1")

_OPTIONS = {"CREATE": "CreateOptions", "UPDATE": "UpdateOptions", "DELETE": "DeleteOptions", "CONNECT": ""}


class BadReview(Exception):
    """The webhook's answer is none."""


class Denied(ApiError):
    """A webhook's refusal, with the code and reason that it gave."""

    def __init__(self, message: str, code: int, reason: str, details: Any) -> None:
        super().__init__(message, details=details)
        self.code = code
        self.reason = reason

    def status(self) -> dict[str, Any]:
        status = super().status()
        if not self.reason:
            del status["reason"]
        return status


@dataclass(frozen=True, slots=True)
class Answer:
    """What a webhook said; `patch` is a JSON patch, empty for none."""

    allowed: bool
    patch: list[Any]
    warnings: list[str]
    status: dict[str, Any]


def question(request: Attributes, kind: Kind, uid: str, version: str) -> dict[str, Any]:
    """The review of `request` with its objects as `kind`."""
    asked = request.kind
    shown = None if request.operation == "DELETE" else _shown(request, kind, request.obj)
    old = None if request.old is None else _shown(request, kind, request.old)
    user = request.options.user
    user_info: dict[str, Any] = {"username": user.name, "groups": list(user.groups)}
    user_info |= {name: value for name, value in (("uid", user.uid), ("extra", user.extra)) if value}
    body: dict[str, Any] = {
        "uid": uid,
        "kind": _kind(kind, shown or old),
        "resource": {"group": kind.group, "version": kind.version, "resource": kind.plural},
        "requestKind": _kind(asked, shown or old),
        "requestResource": {"group": asked.group, "version": asked.version, "resource": asked.plural},
        "name": request.name,
        "namespace": request.namespace,
        "operation": request.operation,
        "userInfo": user_info,
        "object": shown,
        "oldObject": old,
        "dryRun": request.options.dry_run,
        "options": _options(request),
    }
    if request.subresource:
        body |= {"subResource": request.subresource, "requestSubResource": request.subresource}
    for name in ("name", "namespace"):
        if not body[name]:
            del body[name]
    return {"kind": "AdmissionReview", "apiVersion": f"{GROUP}/{version}", "request": body}


def answer(data: bytes, uid: str, version: str) -> Answer:
    """What the webhook's body says; BadReview where it is no answer to the question `uid`."""
    try:
        review = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadReview(f"couldn't get version/kind; json parse error: {error}") from error
    if not isinstance(review, dict) or not isinstance(review.get("response"), dict):
        raise BadReview("Webhook response was absent")
    found, response = review.get("apiVersion"), review["response"]
    if version == "v1":
        if found != f"{GROUP}/v1" or review.get("kind") != "AdmissionReview":
            wanted = f"{GROUP}/v1, Kind=AdmissionReview"
            raise BadReview(f"expected webhook response of {wanted}, got {found}, Kind={review.get('kind', '')}")
        if response.get("uid") != uid:
            raise BadReview(f'expected response.uid="{uid}", got "{response.get("uid", "")}"')
    patch = _patch(response)
    status = response.get("status")
    return Answer(
        bool(response.get("allowed")),
        patch,
        [text for text in response.get("warnings") or () if isinstance(text, str)],
        status if isinstance(status, dict) else {},
    )


def _patch(response: dict[str, Any]) -> list[Any]:
    text = response.get("patch")
    if not text:
        return []
    if response.get("patchType") != "JSONPatch":
        raise BadReview("webhook returned response.patch but not response.patchType")
    try:
        patch = orjson.loads(base64.b64decode(text))
    except (binascii.Error, orjson.JSONDecodeError, TypeError, ValueError) as error:
        raise BadReview(f"webhook returned a response.patch that is no JSON patch: {error}") from error
    if not isinstance(patch, list):
        raise BadReview("webhook returned a response.patch that is no JSON patch")
    return patch


def refusal(name: str, status: dict[str, Any]) -> Denied:
    """The error of a request that the webhook `name` did not allow."""
    text = f'admission webhook "{name}" denied the request'
    why = status.get("message") or status.get("reason")
    code = status.get("code")
    code = code if isinstance(code, int) and 400 <= code < 600 else 400
    message = f"{text}: {why}" if why else f"{text} without explanation"
    return Denied(message, code, str(status.get("reason") or ""), status.get("details"))


def _kind(kind: Kind, obj: Object | None) -> dict[str, str]:
    """`kind`, or what `obj` is where a subresource takes objects of another kind."""
    if obj is None or obj.get("kind", kind.name) == kind.name:
        return {"group": kind.group, "version": kind.version, "kind": kind.name}
    group, _, version = obj["apiVersion"].rpartition("/")
    return {"group": group, "version": version, "kind": obj["kind"]}


def _shown(request: Attributes, kind: Kind, obj: Object) -> Object:
    if request.subresource == "scale":
        return view_of(kind, "scale").show(obj)
    return versions.shown_object(kind, obj) if kind is not request.kind else obj


def _options(request: Attributes) -> dict[str, Any] | None:
    kind = _OPTIONS[request.operation]
    if not kind:
        return None
    options: dict[str, Any] = {"kind": kind, "apiVersion": "meta.k8s.io/v1"}
    if request.options.dry_run:
        options["dryRun"] = ["All"]
    if request.options.field_manager:
        options["fieldManager"] = request.options.field_manager
    return options
