"""What a caller asks of the registry besides the object itself: who, and with which options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

FieldValidation = Literal["Strict", "Warn", "Ignore"]
Propagation = Literal["Orphan", "Background", "Foreground"]
Operation = Literal["CREATE", "UPDATE", "DELETE", "CONNECT"]

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"
UNAUTHENTICATED = "system:unauthenticated"


@dataclass(frozen=True, slots=True)
class User:
    """An authenticated caller, as upstream's `user.Info`."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: dict[str, list[str]] = field(default_factory=dict, hash=False)


ANONYMOUS = User("system:anonymous", (UNAUTHENTICATED,))
INTERNAL = User("system:apiserver", (MASTERS, AUTHENTICATED))
"""The components inside the daemon that are given no identity of their own."""


def _ignore(_text: str) -> None:
    """Warnings of callers who cannot be shown any."""


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """Options of create, update and patch.

    `duplicates` are paths of fields that the body's text named twice, which only its parser could
    see. `warn` takes each text for the caller's Warning headers. `agent` is the caller's program, for
    where no field manager is named.
    """

    user: User = INTERNAL
    dry_run: bool = False
    field_manager: str = ""
    field_validation: FieldValidation = "Ignore"
    force: bool = False
    duplicates: tuple[str, ...] = ()
    warn: Callable[[str], None] = _ignore
    agent: str = ""

    @property
    def manager(self) -> str:
        """By what name the caller owns fields."""
        return self.field_manager or self.agent or self.user.name.removeprefix("system:")

    @property
    def warned(self) -> bool:
        """Whether anybody hears warnings; they are not worked out otherwise."""
        return self.warn is not _ignore


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """`meta/v1.DeleteOptions`; `uid` and `resource_version` are preconditions."""

    user: User = INTERNAL
    dry_run: bool = False
    grace_period_seconds: int | None = None
    propagation_policy: Propagation | None = None
    uid: str | None = None
    resource_version: str | None = None


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What `list` returns: all of a snapshot (limit 0), or a page of one."""

    label_selector: str = ""
    field_selector: str = ""
    limit: int = 0
    continue_token: str = ""
    resource_version: str = ""
    resource_version_match: str = ""
