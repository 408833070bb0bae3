"""Objects that are nearly right: whatever is sent is stored or refused with an API error, never a crash.

Bodies follow each kind's schema most of the time, so that they get past the decoder and into the
defaults, the validation, the admission and the tables.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import orjson
import pytest

from controlplane.api.definitions import definitions
from controlplane.api.errors import ApiError, InternalError
from controlplane.api.kinds import DEPLOYMENT, POD, SERVED, SERVICE
from controlplane.api.scalars import Boolean, Integer, IntOrString, Quantity
from controlplane.api.schema import Array, Mapping, Node, Struct
from controlplane.api.types import Kind
from controlplane.server.assembly import open_registry
from controlplane.server.registry import Registry
from controlplane.server.requests import DeleteOptions, WriteOptions

ROUNDS = 3000
DEPTH = 7
LIKELY = ("spec", "template", "metadata", "selector")
ODD: tuple[Any, ...] = (
    "",
    "A_b",
    "-1",
    "1Gi",
    0,
    -1,
    99999,
    2**31,
    2**63,
    1.5,
    True,
    None,
    [],
    {},
    [None],
    [{}],
    "x" * 300,
)
TEXTS = ("a", "web", "TCP", "Always", "NodePort", "LoadBalancer", "RollingUpdate", "Exists", "In", "10.48.0.9", "/x")


class Bodies:
    """Random bodies from schemas."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def of(self, kind: Kind) -> dict[str, Any]:
        body = self._value(definitions()[kind.definition], 0)
        body = body if isinstance(body, dict) else {}
        metadata = body.get("metadata")
        if not isinstance(metadata, dict) or self.random.random() < 0.7:
            metadata = {}
        named = {key: value for key, value in metadata.items() if key not in ("namespace", "resourceVersion")}
        identity = {"apiVersion": kind.api_version, "kind": kind.name}
        made: dict[str, Any] = orjson.loads(orjson.dumps(body | identity | {"metadata": named | {"name": "web"}}))
        return made

    def _value(self, node: Node, depth: int) -> Any:
        pick = self.random.choice
        if self.random.random() < 0.06:
            return pick(ODD)
        match node:
            case Struct():
                return self._struct(node, depth)
            case Array():
                return [self._value(node.items, depth + 1) for _ in range(pick((0, 1, 1, 2)))]
            case Mapping():
                return {pick(("a", "A b", "")): self._value(node.values, depth + 1) for _ in range(pick((0, 1, 2)))}
            case Integer():
                return pick((0, 1, 5, 80, -1, 70000))
            case Boolean():
                return pick((True, False))
            case Quantity():
                return pick(("1", "100m", 1, "x"))
            case IntOrString():
                return pick((1, "25%", "http", -1))
        return pick(TEXTS)

    def _struct(self, node: Struct, depth: int) -> dict[str, Any]:
        if depth > DEPTH:
            return {}
        found = {}
        for name, field in node.fields.items():
            chance = 0.9 if name in node.required else 0.6 if name in LIKELY else 0.15
            if self.random.random() < chance:
                found[name] = self._value(field, depth + 1)
        return found


@pytest.mark.parametrize("seed", range(3))
async def test_bodies_are_stored_or_refused(tmp_path: Path, seed: int) -> None:
    bodies = Bodies(seed)
    kinds = [kind for kind in SERVED if "list" in kind.verbs] + [POD] * 4 + [SERVICE] * 3 + [DEPLOYMENT] * 2
    stored = 0
    async with open_registry(tmp_path / "state.db") as registry:
        for _ in range(ROUNDS):
            kind = bodies.random.choice(kinds)
            stored += await attempt(registry, kind, bodies)
        for kind in kinds:
            for revision in registry.list(kind).revisions:
                kind.strategy.fields(revision.document)
                if kind.strategy.row is not None:
                    kind.strategy.row(revision.document, 0.0)
    assert stored > ROUNDS / 50


async def attempt(registry: Registry, kind: Kind, bodies: Bodies) -> bool:
    verb = bodies.random.choice(("create", "create", "update", "patch"))
    namespace, options, body = "default" if kind.namespaced else "", WriteOptions(), bodies.of(kind)
    shown = orjson.dumps(body).decode()
    try:
        match verb:
            case "create":
                await registry.create(kind, namespace, body, options)
            case "update":
                await registry.update(kind, "web", namespace, body, options)
            case _:
                await registry.patch(kind, "web", namespace, body, "strategic", options)
        if bodies.random.random() < 0.3:
            await registry.delete(kind, "web", namespace, DeleteOptions(grace_period_seconds=0))
    except InternalError:
        raise
    except ApiError:
        return False
    except Exception as error:
        error.add_note(f"{verb} {kind.name}: {shown}")
        raise
    return True
