"""Rows of roles and their bindings."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from controlplane.api.printing.cells import AGE, NAME, UNKNOWN, age, seconds_of
from controlplane.api.types import Column, Object

ROLE_COLUMNS = (NAME, Column("Created At", "date", description="When the role was created."))

BINDING_COLUMNS = (
    NAME,
    Column("Role", description="The role that is bound."),
    AGE,
    Column("Users", priority=1, description="The users that have the role."),
    Column("Groups", priority=1, description="The groups that have the role."),
    Column("ServiceAccounts", priority=1, description="The service accounts that have the role."),
)


def role_row(obj: Object, _now: float) -> list[Any]:
    """The cells of one role."""
    created = seconds_of(obj["metadata"].get("creationTimestamp"))
    shown = UNKNOWN if created is None else datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [obj["metadata"]["name"], shown]


def binding_row(obj: Object, now: float) -> list[Any]:
    """The cells of one binding."""
    reference = obj.get("roleRef", {})
    by_kind: dict[str, list[str]] = {}
    for subject in obj.get("subjects", ()):
        name = subject.get("name", "")
        shown = f"{subject.get('namespace', '')}/{name}" if subject.get("kind") == "ServiceAccount" else name
        by_kind.setdefault(subject.get("kind", ""), []).append(shown)
    return [
        obj["metadata"]["name"],
        f"{reference.get('kind', '')}/{reference.get('name', '')}",
        age(obj, now),
        *(", ".join(by_kind.get(kind, ())) for kind in ("User", "Group", "ServiceAccount")),
    ]
