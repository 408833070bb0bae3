"""Conversion webhooks: objects of one version made those of another, by somebody else.

The registry converts between one step and the next, and cannot wait there. So what is not in the cache
here is a `NotConverted`, which whoever may wait answers by its `convert` and another try. The cache goes by
content: what a webhook has made of an object it is not asked again, as long as the cache has room for it.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson

from controlplane.api.errors import InternalError
from controlplane.api.types import Object
from controlplane.server.outgoing import CallFailed, Outgoing, Peer
from controlplane.server.versions import NotConverted

REMEMBERED_BYTES = 16 << 20
"""Bytes of converted objects that are kept of one definition while nobody waits for its webhook."""
SECONDS = 30.0
MOST_OBJECTS = 500
"""Objects in one review."""

HEADERS = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "kube-apiserver"}
_KEPT = ("labels", "annotations")
"""What of an object's metadata a webhook may change."""


class Converter:
    """The conversion webhook of one definition; `outgoing` gives the connections."""

    def __init__(self, crd: Object, outgoing: Callable[[], Outgoing]) -> None:
        webhook = crd["spec"]["conversion"]["webhook"]
        self._peer = Peer.of(webhook["clientConfig"])
        self._version = next(iter(webhook.get("conversionReviewVersions", ())), "v1")
        self._kind = crd["spec"]["names"]["kind"]
        self._outgoing = outgoing
        self._made: OrderedDict[bytes, bytes] = OrderedDict()
        self._bytes = 0
        self._waiting = 0

    def to(self, target: str) -> Callable[[Object], Object]:
        """A function from any object of the definition to that of version `target`; it may raise NotConverted."""
        return lambda obj: self._converted(obj, target)

    def prepare(self, objects: Iterable[Object], target: str) -> None:
        """NotConverted for those of `objects` that cannot be had in version `target` at once."""
        missing = [one for one in objects if one["apiVersion"] != target and _key(one, target) not in self._made]
        if missing:
            raise NotConverted(lambda: self._ask_all(missing, target))

    def _converted(self, obj: Object, target: str) -> Object:
        if obj["apiVersion"] == target:
            return obj
        key = _key(obj, target)
        data = self._made.get(key)
        if data is None:
            raise NotConverted(lambda: self._ask_all([obj], target))
        self._made.move_to_end(key)
        made: Object = orjson.loads(data)
        metadata = {name: value for name, value in obj["metadata"].items() if name not in _KEPT}
        changed = {name: made["metadata"][name] for name in _KEPT if name in made["metadata"]}
        return made | {"metadata": metadata | changed}

    async def _ask_all(self, objects: Sequence[Object], target: str) -> None:
        self._waiting += 1
        try:
            for start in range(0, len(objects), MOST_OBJECTS):
                await self._ask(objects[start : start + MOST_OBJECTS], target)
        finally:
            self._waiting -= 1
            if not self._waiting:
                # Who waited goes on in this very step, and finds everything, however much it is.
                asyncio.get_running_loop().call_soon(self._forget)

    def _forget(self) -> None:
        while self._bytes > REMEMBERED_BYTES and not self._waiting:
            _, data = self._made.popitem(last=False)
            self._bytes -= len(data)

    async def _ask(self, objects: Sequence[Object], target: str) -> None:
        """Has `objects` converted and remembers the result."""
        uid = str(uuid.uuid4())
        request = {"uid": uid, "desiredAPIVersion": target, "objects": list(objects)}
        version = f"apiextensions.k8s.io/{self._version}"
        body = orjson.dumps({"apiVersion": version, "kind": "ConversionReview", "request": request})
        try:
            code, data = await self._outgoing().call(
                self._peer, "POST", self._peer.url, body=body, headers=HEADERS, seconds=SECONDS
            )
        except CallFailed as error:
            raise self._failed(objects, str(error)) from error
        if not 200 <= code < 300:
            raise self._failed(objects, f"the server responded with the status code {code}")
        for old, new in zip(objects, self._answer(objects, data, uid, target), strict=True):
            key, made = _key(old, target), orjson.dumps(new)
            self._bytes += len(made) - len(self._made.get(key, b""))
            self._made[key] = made

    def _answer(self, objects: Sequence[Object], data: bytes, uid: str, target: str) -> list[Any]:
        try:
            response = orjson.loads(data).get("response") or {}
        except (orjson.JSONDecodeError, AttributeError) as error:
            raise self._failed(objects, f"invalid response: {error}") from error
        if response.get("uid") != uid:
            raise self._failed(objects, f'expected response.uid="{uid}", got "{response.get("uid", "")}"')
        result = response.get("result") or {}
        if result.get("status") != "Success":
            raise self._failed(objects, result.get("message") or "<nil>")
        made = response.get("convertedObjects") or []
        if len(made) != len(objects):
            raise self._failed(objects, f"expected {len(objects)} converted objects, got {len(made)}")
        for index, one in enumerate(made):
            whole = isinstance(one, dict) and isinstance(one.get("metadata"), dict)
            if not whole or one.get("apiVersion") != target:
                raise self._failed(objects, f"invalid converted object at index {index}: it is not of {target}")
            one["kind"] = self._kind
        return made

    def _failed(self, objects: Sequence[Object], why: str) -> InternalError:
        source = objects[0]["apiVersion"]
        return InternalError(f"conversion webhook for {source}, Kind={self._kind} failed: {why}")


class Conversions:
    """Makes the converters of definitions; the connections are known once the server is put together."""

    def __init__(self) -> None:
        self._outgoing: Outgoing | None = None

    def use(self, outgoing: Outgoing) -> None:
        """Calls go through `outgoing` from now on."""
        self._outgoing = outgoing

    def of(self, crd: Object) -> Converter | None:
        """The converter of a definition; None where apiVersion is all that changes."""
        conversion = crd["spec"].get("conversion", {})
        if conversion.get("strategy") != "Webhook" or not conversion.get("webhook", {}).get("clientConfig"):
            return None
        return Converter(crd, self._connections)

    def _connections(self) -> Outgoing:
        assert self._outgoing is not None
        return self._outgoing


def _key(obj: Object, target: str) -> bytes:
    """By content: of metadata only what a webhook may change counts."""
    metadata = {name: obj["metadata"][name] for name in _KEPT if name in obj["metadata"]}
    text = orjson.dumps(obj | {"metadata": metadata, "#": target}, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).digest()
