"""From a container's image reference to an image: pull policy, pulls in the background, back-off, events.

Reasons, messages and delays are the kubelet's. A pull runs as a task of its own, for it may take minutes and a worker
is for all pods of the node; when it ends, the pod is looked at again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from controlplane.api.errors import ApiError
from controlplane.api.kinds import SECRET
from controlplane.api.types import Object
from controlplane.node.errors import ImageFailure, StoreFailure
from controlplane.node.images.puller import Pulled, Puller
from controlplane.node.images.reference import default_pull_policy, parse
from controlplane.node.images.store import Image, ImageSource
from controlplane.node.parts import NodeParts
from controlplane.node.state import ContainerState, ImageWait, PodState
from controlplane.node.values import Sources, decoded

FIRST_DELAY, LONGEST_DELAY = 10.0, 300.0
SHOWN_SECONDS = 1.0
"""How long the error itself is shown before the back-off is, which the kubelet leaves to its next look at the pod."""


class Event(Protocol):
    """Records an event about one container."""

    def __call__(
        self, state: PodState, container: ContainerState, reason: str, message: str, *, warn: bool = False
    ) -> None: ...


class ImagePulls:
    """Finds the images of one node's containers."""

    def __init__(self, parts: NodeParts, event: Event, wake: Callable[[str], None]) -> None:
        self._parts = parts
        self._event = event
        self._wake = wake
        self._puller: Puller | None = None

    def find(self, state: PodState, container: ContainerState) -> tuple[Image, ImageSource] | None:
        """The image and its source; None while the container waits for it, with `waiting` and `retry_at` set."""
        reference = container.spec["image"]
        wait = container.image
        if wait is None or wait.reference != reference:
            cancel(container)
            wait = container.image = ImageWait(reference)
        if wait.task is not None:
            return None
        if wait.found is not None:
            found, container.image = wait.found, None
            return found
        if wait.failure is not None and time.time() < wait.until:
            self._backs_off(state, container, wait)
            return None
        return self._resolve(state, container, wait)

    def close(self) -> None:
        """Ends a pull that runs."""
        if self._puller is not None:
            self._puller.close()
            self._puller = None

    def _resolve(self, state: PodState, container: ContainerState, wait: ImageWait) -> tuple[Image, ImageSource] | None:
        policy = container.spec.get("imagePullPolicy") or default_pull_policy(wait.reference)
        try:
            found = self._parts.images.resolve(wait.reference, policy)
        except (ImageFailure, StoreFailure) as failure:
            self._failed(state, container, wait, failure)
            return None
        if found is None:
            self._event(state, container, "Pulling", f'Pulling image "{wait.reference}"')
            pull = self._pull(state, container, wait, policy)
            wait.task = asyncio.get_running_loop().create_task(pull, name=f"pull-{wait.reference}")
            return None
        self._event(state, container, "Pulled", found[0].pulled)
        container.image = None
        return found

    async def _pull(self, state: PodState, container: ContainerState, wait: ImageWait, policy: str) -> None:
        if self._puller is None:
            self._puller = Puller(self._parts.config.cluster, self._parts.config.run)
        try:
            credentials = await self._credentials(state)
            pulled = await self._puller.pull(parse(wait.reference), credentials, always=policy == "Always")
            wait.found = self._parts.images.present(wait.reference)
            if wait.found is None:
                raise StoreFailure("the image was removed again at once")
        except StoreFailure as failure:
            self._failed(state, container, wait, failure)
        except (ApiError, OSError) as error:
            self._failed(state, container, wait, StoreFailure(str(error)))
        else:
            self._event(state, container, "Pulled", _told(wait.reference, pulled))
            container.retry_at = 0.0
        finally:
            wait.task = None
            self._wake(state.uid)

    def _failed(
        self, state: PodState, container: ContainerState, wait: ImageWait, failure: ImageFailure | StoreFailure
    ) -> None:
        reason = failure.reason if isinstance(failure, ImageFailure) else "ErrImagePull"
        wait.failure = ImageFailure(reason, str(failure))
        wait.delay = min(max(wait.delay * 2, FIRST_DELAY), LONGEST_DELAY)
        wait.until = time.time() + wait.delay
        container.waiting = (reason, str(failure))
        container.retry_at = time.time() + SHOWN_SECONDS if reason == "ErrImagePull" else wait.until
        said = str(failure)
        if reason == "ErrImagePull":
            said = f'Failed to pull image "{wait.reference}": {failure}'
        kind = {"InvalidImageName": "InspectFailed", "ErrImageNeverPull": "ErrImageNeverPull"}.get(reason, "Failed")
        self._event(state, container, kind, said, warn=True)
        self._event(state, container, "Failed", f"Error: {reason}", warn=True)

    def _backs_off(self, state: PodState, container: ContainerState, wait: ImageWait) -> None:
        assert wait.failure is not None
        container.retry_at = wait.until
        if wait.failure.reason != "ErrImagePull":
            return
        message = f'Back-off pulling image "{wait.reference}"'
        container.waiting = ("ImagePullBackOff", f"{message}: ErrImagePull: {wait.failure}")
        self._event(state, container, "BackOff", message)
        self._event(state, container, "Failed", "Error: ImagePullBackOff", warn=True)

    async def _credentials(self, state: PodState) -> list[bytes]:
        """What the pod's imagePullSecrets say, each as an authentication file."""
        found, missing = [], []
        for reference in state.pod["spec"].get("imagePullSecrets") or []:
            name = reference.get("name") or ""
            document = await _authentication(self._parts.sources, state.namespace, name) if name else None
            (found.append(document) if document is not None else missing.append(name))
        if missing:
            self._parts.recorder.event(
                state.pod,
                "Warning",
                "FailedToRetrieveImagePullSecret",
                f"Unable to retrieve some image pull secrets ({', '.join(missing)}); "
                "attempting to pull the image may not succeed.",
            )
        return found


def cancel(container: ContainerState) -> None:
    """Forgets what a container waits for."""
    if container.image is not None and container.image.task is not None:
        container.image.task.cancel()
    container.image = None


async def _authentication(sources: Sources, namespace: str, name: str) -> bytes | None:
    secret: Object | None = await sources.find(SECRET, namespace, name)
    if secret is None:
        return None
    data = decoded(secret)
    if ".dockerconfigjson" in data:
        return data[".dockerconfigjson"]
    if ".dockercfg" in data:
        return b'{"auths": ' + data[".dockercfg"] + b"}"
    return None


def _told(reference: str, pulled: Pulled) -> str:
    took, waited = _duration(pulled.seconds), _duration(pulled.waited)
    return (
        f'Successfully pulled image "{reference}" in {took} ({waited} including waiting). '
        f"Image size: {pulled.image.size} bytes."
    )


def _duration(seconds: float) -> str:
    """As Go prints a duration cut to milliseconds: 308ms, 1.2s, 1m2.5s."""
    milliseconds = int(seconds * 1000)
    if milliseconds < 1000:
        return f"{milliseconds}ms" if milliseconds else "0s"
    minutes, rest = divmod(milliseconds, 60_000)
    text = f"{rest / 1000:.3f}".rstrip("0").rstrip(".")
    return f"{minutes}m{text}s" if minutes else f"{text}s"
