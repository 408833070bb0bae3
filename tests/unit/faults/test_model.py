"""What a Fault's spec says, read; and what a definition's schema and rules refuse before that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from controlplane.api.errors import Invalid
from controlplane.client.local import LocalClient
from controlplane.faults import FAULT, TYPES, Refused, ensure_definition, hampered_nodes, read_spec
from controlplane.server.assembly import open_registry

PODS = {"pods": ["web"]}


@pytest.mark.parametrize(
    ("spec", "field", "value"),
    [
        ({"type": "delay", "target": PODS, "delay": "1.5ms", "jitter": "20us"}, "delay", 1500),
        ({"type": "delay", "target": PODS, "delay": "1.5ms", "jitter": "20us"}, "jitter", 20),
        ({"type": "loss", "target": PODS, "loss": "0.5%"}, "loss", 0.5),
        ({"type": "rate", "target": PODS, "rate": "1.5Mbit"}, "rate", 1_500_000),
        ({"type": "mtu", "target": PODS, "mtu": 600, "duration": "2m"}, "duration", 120.0),
        ({"type": "mtu", "target": PODS, "mtu": 600, "start": "250ms"}, "start", 0.25),
        ({"type": "delay", "target": PODS, "delay": "1s"}, "direction", "out"),
        ({"type": "loss", "target": PODS, "loss": "1%", "direction": "both"}, "direction", "both"),
        ({"type": "rate", "target": PODS, "rate": "1Mbit"}, "direction", "both"),
        ({"type": "flap", "target": PODS}, "period", 2.0),
        ({"type": "ruleRemoved", "target": {"nodes": ["a"]}, "chain": "X"}, "table", "nat"),
    ],
)
def test_times_rates_and_defaults(spec: dict[str, Any], field: str, value: object) -> None:
    assert getattr(read_spec(spec), field) == value


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"type": "partition", "to": PODS}, "partition needs from"),
        ({"type": "mtu", "from": PODS, "mtu": 600}, "mtu takes target"),
        ({"type": "loss", "target": PODS, "loss": "101%"}, "more than all"),
        ({"type": "flap", "target": PODS, "period": "10ms"}, "at least 0.2s"),
        ({"type": "rate", "target": PODS, "rate": "10bit"}, "at least 8kbit"),
        ({"type": "dnsFailure", "target": PODS, "names": ["a..b"]}, "no name that DNS"),
        ({"type": "routeRemoved", "target": PODS, "route": "10.0.0.300"}, "no range of IPv4"),
        ({"type": "partition", "from": {"cidrs": ["nonsense"]}}, "no range of IPv4"),
        ({"type": "nodeCrash", "target": {"podSelector": {}}}, "nodeCrash is for nodes, not for podSelector"),
        ({"type": "processKill", "target": {"nodes": ["a"]}}, "processKill is for pods, not for nodes"),
        ({"type": "mtu", "target": {"router": True}, "mtu": 600}, "mtu is for pods and nodes, not for router"),
        ({"type": "mtu", "target": {"cidrs": ["10.0.0.0/8"]}, "mtu": 600}, "not for cidrs"),
        ({"type": "flap", "target": PODS, "duration": "5%"}, "duration: '5%' is no number with a unit, as 100ms"),
        ({"type": "rate", "target": PODS, "rate": "5s"}, "rate: '5s' is no number with a unit, as 500kbit"),
    ],
)
def test_what_a_schema_cannot_say_is_refused(spec: dict[str, Any], said: str) -> None:
    with pytest.raises(Refused, match=said):
        read_spec(spec)


def _fault(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": FAULT.api_version, "kind": "Fault", "metadata": {"name": name}, "spec": spec}


async def test_the_definition_and_what_it_refuses(tmp_path: Path) -> None:
    async with open_registry(tmp_path / "state.db") as registry:
        client = LocalClient(registry)
        await ensure_definition(client)
        await ensure_definition(client)
        made = await client.create(FAULT, _fault("a.b", type="partition", **{"from": {"nodes": ["node-1"]}}))
        assert made["metadata"]["generation"] == 1
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"type": "nonsense", "target": PODS}, "Unsupported value"),
            ({"type": "delay", "target": PODS}, "delay needs delay"),
            ({"type": "delay", "target": PODS, "delay": "soon"}, "should match"),
            ({"type": "mtu", "target": PODS}, "mtu needs mtu"),
            ({"type": "mtu", "target": PODS, "mtu": 5}, "greater than or equal to 68"),
            ({"type": "mtu", "mtu": 600}, "target is missing"),
            ({"type": "mtu", "target": {}, "mtu": 600}, "at least 1 properties"),
            ({"type": "dnsFailure", "target": PODS, "names": []}, "names in body should have at least 1 items"),
            ({"type": "ruleRemoved", "target": PODS}, "either rule or chain"),
            ({"type": "partition", "target": PODS}, "partition takes from and to"),
        ]
        for spec, said in wrong:
            with pytest.raises(Invalid, match=said):
                await client.create(FAULT, _fault("wrong", **spec))
        await client.create(FAULT, _fault("a" * 100, type="mtu", target=PODS, mtu=600))
        with pytest.raises(Invalid, match="at most 100 characters"):
            await client.create(FAULT, _fault("a" * 101, type="mtu", target=PODS, mtu=600))
        with pytest.raises(Invalid, match="type of a Fault cannot be changed"):
            await client.patch(FAULT, "a.b", body={"spec": {"type": "flap", "from": None, "target": PODS}})
        status = {"status": {"phase": "Active", "nodes": ["node-1"]}}
        assert await hampered_nodes(client) == set()
        await client.patch(FAULT, "a.b", body=status, subresource="status")
        assert await hampered_nodes(client) == {"node-1"}


def test_every_type_is_on_the_page() -> None:
    page = (Path(__file__).parents[3] / "docs" / "faults.md").read_text()
    assert [type_ for type_ in TYPES if f"| `{type_}` |" not in page] == []
