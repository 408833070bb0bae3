"""Service account tokens for pods, asked for through the `token` subresource and renewed in time."""

from __future__ import annotations

import time
from collections.abc import Callable

from controlplane.api.errors import ApiError
from controlplane.api.kinds import SERVICE_ACCOUNT, TOKEN_REQUEST
from controlplane.api.types import Object
from controlplane.client.interface import Client
from controlplane.node.errors import VolumeFailure

DEFAULT_SECONDS = 3607
RENEW_FRACTION = 0.8


class Tokens:
    """One token per pod and projection, kept until most of its life has passed."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock
        self._kept: dict[tuple[str, str, str], tuple[str, float]] = {}

    async def get(self, pod: Object, projection: Object) -> str:
        """A token for the pod's service account; VolumeFailure when the API gives none."""
        uid, audience = pod["metadata"]["uid"], projection.get("audience") or ""
        seconds = int(projection.get("expirationSeconds") or DEFAULT_SECONDS)
        key = (uid, audience, str(seconds))
        token, renew = self._kept.get(key, ("", 0.0))
        if token and self._clock() < renew:
            return token
        token = await self._request(pod, audience, seconds)
        self._kept[key] = (token, self._clock() + seconds * RENEW_FRACTION)
        return token

    def forget(self, uid: str) -> None:
        """Drops the tokens of a pod that has gone."""
        for key in [key for key in self._kept if key[0] == uid]:
            del self._kept[key]

    async def _request(self, pod: Object, audience: str, seconds: int) -> str:
        metadata = pod["metadata"]
        name = pod["spec"].get("serviceAccountName") or "default"
        bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
        spec: Object = {"expirationSeconds": seconds, "boundObjectRef": bound}
        if audience:
            spec["audiences"] = [audience]
        body = {"apiVersion": TOKEN_REQUEST.api_version, "kind": TOKEN_REQUEST.name, "spec": spec}
        try:
            answer = await self._client.create(
                SERVICE_ACCOUNT, body, metadata["namespace"], subresource="token", name=name
            )
        except ApiError as error:
            raise VolumeFailure(f"failed to fetch token: {error.message}") from error
        return str(answer["status"]["token"])
