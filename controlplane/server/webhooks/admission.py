"""Asks the webhooks that a request is for: those that change, one after the other, then those that judge, at once.

Whatever a webhook answers, the object passes this server's own plugins and checks afterwards. Nothing
is asked about the configurations themselves: a broken webhook must not prevent its own removal.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Sequence
from typing import Any

import orjson

from controlplane.api.cel import Budget, CelError
from controlplane.api.decode import decode_object
from controlplane.api.errors import ApiError, BadRequest, InternalError
from controlplane.api.jsonpatch import apply_json_patch
from controlplane.api.kinds import MUTATING_WEBHOOK_CONFIGURATION, VALIDATING_WEBHOOK_CONFIGURATION
from controlplane.api.scheme import Scheme
from controlplane.api.types import Kind, Object
from controlplane.server import versions
from controlplane.server.admission import Attributes
from controlplane.server.outgoing import CallFailed, Outgoing
from controlplane.server.webhooks.hooks import Hook, hooks_of
from controlplane.server.webhooks.review import VERSIONS, Answer, BadReview, answer, question, refusal
from controlplane.store import Key, Store

log = logging.getLogger(__name__)

MUTATING, VALIDATING = MUTATING_WEBHOOK_CONFIGURATION.resource, VALIDATING_WEBHOOK_CONFIGURATION.resource
NEVER_ASKED_ABOUT = frozenset(
    f"{plural}.admissionregistration.k8s.io"
    for plural in (
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
        "mutatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "validatingwebhookconfigurations",
    )
)
HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "kube-apiserver-admission"}


class Webhooks:
    """The webhooks of a store's configurations; `active` is whether there are any."""

    def __init__(self, store: Store, scheme: Scheme, outgoing: Outgoing) -> None:
        self._store = store
        self._scheme = scheme
        self._outgoing = outgoing
        self._hooks: dict[str, dict[str, list[Hook]]] = {MUTATING: {}, VALIDATING: {}}
        self._ordered: dict[str, list[Hook]] = {MUTATING: [], VALIDATING: []}
        self.active = False
        for resource in self._hooks:
            for revision in store.objects(resource):
                self.settle(revision.key, store)

    def settle(self, key: Key, store: Store) -> None:
        """Follows the configuration of `key` as it is now; called when its latest state has changed."""
        hooks = self._hooks.get(key.resource)
        if hooks is None:
            return
        latest = store.latest(key)
        hooks.pop(key.name, None)
        if latest is not None:
            hooks[key.name] = hooks_of(latest.document)
        self._ordered[key.resource] = [hook for name in sorted(hooks) for hook in hooks[name]]
        self.active = any(self._ordered.values())

    async def mutate(self, request: Attributes) -> Object:
        """The object after every webhook that may change it; the request's own where none did.

        A webhook that asks for it is called again when a later one has changed the object.
        """
        hooks = self._wanted(MUTATING, request)
        if not hooks:
            return request.obj
        obj, asked = request.obj, []
        last_change = -1
        for index, (hook, kind) in enumerate(hooks):
            changed = await self._change(request.with_object(obj), hook, kind)
            if changed is not obj:
                obj, last_change = changed, index
            asked.append((hook, kind))
        for hook, kind in asked[: max(last_change, 0)]:
            if hook.again:
                obj = await self._change(request.with_object(obj), hook, kind)
        return obj

    async def validate(self, request: Attributes) -> None:
        """Raises the first refusal of the webhooks that judge."""
        hooks = self._wanted(VALIDATING, request)
        if not hooks:
            return
        asked = [self._ask(request, hook, kind) for hook, kind in hooks]
        results = await asyncio.gather(*asked, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        for (hook, _), result in zip(hooks, results, strict=True):
            if isinstance(result, Answer):
                _settle(request, hook, result)

    def _wanted(self, resource: str, request: Attributes) -> Sequence[tuple[Hook, Kind]]:
        if request.kind.resource in NEVER_ASKED_ABOUT:
            return ()
        wanted = []
        for hook in self._ordered[resource]:
            kind = hook.kind_for(request, self._scheme)
            if kind is not None and hook.selects(request, self._store):
                wanted.append((hook, kind))
        return wanted

    async def _change(self, request: Attributes, hook: Hook, kind: Kind) -> Object:
        answered = await self._ask(request, hook, kind)
        if answered is None:
            return request.obj
        _settle(request, hook, answered)
        if not answered.patch or request.operation in ("DELETE", "CONNECT") or _is_other(request):
            return request.obj
        shown = versions.shown_object(kind, request.obj) if kind is not request.kind else request.obj
        try:
            patched = apply_json_patch(shown, answered.patch)
            decoded = decode_object(kind, patched).object
        except ApiError as error:
            raise InternalError(f"Internal error occurred: {error.message}") from error
        decoded = versions.stored(kind, decoded) if kind is not request.kind else decoded
        # The result may share parts with what it was made from, and is changed in place from here on.
        obj: Object = orjson.loads(orjson.dumps(decoded))
        obj.setdefault("metadata", {})
        request.kind.strategy.default(obj)
        return request.obj if obj == request.obj else obj

    async def _ask(self, request: Attributes, hook: Hook, kind: Kind) -> Answer | None:
        """The answer; None where there is none and that is to be ignored."""
        version = next((one for one in hook.versions if one in VERSIONS), "v1")
        uid = str(uuid.uuid4())
        review = question(request, kind, uid, version)
        if hook.conditions and not _holds(hook, review["request"]):
            return None
        if request.options.dry_run and not hook.harmless_on_dry_run:
            raise BadRequest(f'admission webhook "{hook.name}" does not support dry run')
        body = orjson.dumps(review)
        url = f"{hook.peer.url}{'&' if '?' in hook.peer.url else '?'}timeout={hook.seconds}s"
        try:
            code, data = await self._outgoing.call(
                hook.peer, "POST", url, body=body, headers=HEADERS, seconds=hook.seconds
            )
            if not 200 <= code < 300:
                raise CallFailed(_refused(code, data))
            return answer(data, uid, version)
        except CallFailed as error:
            _fail_or_ignore(hook, f"failed to call webhook: {error}")
        except BadReview as error:
            _fail_or_ignore(hook, f"received invalid webhook response: {error}")
        return None


def _is_other(request: Attributes) -> bool:
    """Whether a subresource takes an object of another kind, which is not changed here."""
    return request.subresource == "scale" or request.obj.get("kind", request.kind.name) != request.kind.name


def _holds(hook: Hook, asked: dict[str, Any]) -> bool:
    """Whether all conditions hold. One that does not settles it; else one without a value is a failure."""
    variables = {"object": asked["object"], "oldObject": asked["oldObject"], "request": asked}
    failure, budget = "", Budget()
    for name, condition in hook.conditions:
        if budget.spent:
            break
        try:
            if condition(variables, budget) is not True:
                return False
        except CelError as error:
            failure = f"match condition {name!r}: {error}"
    if failure:
        _fail_or_ignore(hook, failure)
        return False
    return True


def _fail_or_ignore(hook: Hook, why: str) -> None:
    text = f'failed calling webhook "{hook.name}": {why}'
    if hook.fails:
        raise InternalError(f"Internal error occurred: {text}", details={"causes": [{"message": text}]})
    log.warning("webhook ignored", extra={"webhook": hook.name, "error": why})


def _settle(request: Attributes, hook: Hook, answered: Answer) -> None:
    for text in answered.warnings:
        request.options.warn(text)
    if not answered.allowed:
        raise refusal(hook.name, answered.status)


def _refused(code: int, data: bytes) -> str:
    """What a Go client says of an answer without an AdmissionReview."""
    said = data[:1024].decode(errors="replace").strip()
    if code == 404:
        return "the server could not find the requested resource"
    if code >= 500:
        return f'an error on the server ("{said or "unknown"}") has prevented the request from succeeding'
    return f"the server rejected our request for an unknown reason (code {code})"
