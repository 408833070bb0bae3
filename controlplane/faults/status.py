"""What a Fault says of itself: phase, times, places, conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from controlplane.api.meta import timestamp
from controlplane.api.types import Object
from controlplane.client.interface import Client
from controlplane.faults.definition import FAULT

ENDED = ("Healed", "Failed")
_MOST_PLACES = 200


def written_time(seconds: float) -> str:
    """Epoch seconds as the status has them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_time(text: str) -> float:
    """And back."""
    return datetime.fromisoformat(text).timestamp()


def with_condition(
    status: Mapping[str, Any], *, done: bool, reason: str, message: str, now: float
) -> list[dict[str, Any]]:
    """The conditions with `Injected` as given; its time is that of its last change."""
    wanted = {"type": "Injected", "status": "True" if done else "False", "reason": reason, "message": message}
    for before in status.get("conditions", ()):
        if before["type"] == "Injected" and before["status"] == wanted["status"]:
            return [wanted | {"lastTransitionTime": before.get("lastTransitionTime", timestamp(now))}]
    return [wanted | {"lastTransitionTime": timestamp(now)}]


def shown_places(places: Sequence[str]) -> list[str]:
    """So many that a reader and an object can bear them."""
    if len(places) <= _MOST_PLACES:
        return list(places)
    return [*places[:_MOST_PLACES], f"and {len(places) - _MOST_PLACES} more"]


def is_active(fault: Object) -> bool:
    return bool((fault.get("status") or {}).get("phase") == "Active")


async def hampered_nodes(client: Client) -> set[str]:
    """The nodes that active Faults are about: they may not become Ready as long as those last."""
    faults = (await client.list(FAULT)).items
    return {name for fault in faults if is_active(fault) for name in fault["status"].get("nodes", ())}
