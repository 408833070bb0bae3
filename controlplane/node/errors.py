"""What goes wrong on a node, as the pod worker sees it.

NodeError
├── RuntimeFailure     conmon or the OCI runtime refused; the message ends with its own words
├── ImageFailure       `reason` is the waiting reason: ErrImagePull, InvalidImageName, ...
├── StoreFailure       the image store cannot do what it was asked; `remedy` says what to do
├── ConfigFailure      the container cannot be described: CreateContainerConfigError
├── CreationFailure    it can, but not be made so: CreateContainerError
└── VolumeFailure      a volume cannot be set up; the pod waits in ContainerCreating
    └── VolumeWait     somebody else is at it, and will be heard of
"""

from __future__ import annotations


class NodeError(Exception):
    """Anything that keeps a pod from running, to be said in an event."""


class RuntimeFailure(NodeError):
    """A container could not be created, started or entered."""


class ImageFailure(NodeError):
    """There is no root file system for an image reference."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class StoreFailure(NodeError):
    """The image store cannot load, pull, unpack or remove; in the user's words, with a remedy where there is one."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class ConfigFailure(NodeError):
    """The pod names something that is not there (a ConfigMap key, a user) or cannot be honoured."""


class CreationFailure(NodeError):
    """What the manifest and the image ask for together cannot be made: a user whom the image does not know."""


class VolumeFailure(NodeError):
    """A volume or a mount of it is not possible now. `volume` is its name where that is not the manifest's; `whole`:
    the message says by itself what could not be done."""

    def __init__(self, message: str, *, volume: str = "", whole: bool = False) -> None:
        super().__init__(message)
        self.volume = volume
        self.whole = whole


class VolumeWait(VolumeFailure):
    """A controller has yet to do its part; there is nothing to complain of."""
