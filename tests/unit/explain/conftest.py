"""A cluster of literals: objects as the API has them, and rules as the appliers would write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from controlplane.api.kinds import ENDPOINT_SLICE, NAMESPACE, NETWORK_POLICY, NODE, POD, SERVICE
from controlplane.api.types import Kind, Object
from controlplane.explain.policies import PolicyIndex
from controlplane.explain.services import ServiceIndex
from controlplane.proxy.rules import LocalTraffic, Style, port_rules
from controlplane.proxy.ruleset import NodeRules, build, jumps

STYLE = Style(LocalTraffic.by_cidr("10.44.0.0/14"))


class FakeWorld:
    """A `World` of literals; the rules of a node are those that its objects ask for, with counters of 7:420."""

    def __init__(self) -> None:
        self._objects: dict[Kind, list[Object]] = {NODE: [_node("node-1"), _node("node-2")]}
        self.log: list[str] = []
        self.running = ["node-1", "node-2"]
        self.change: dict[str, Any] | None = None

    def add(self, kind: Kind, *objects: Object) -> None:
        self._objects.setdefault(kind, []).extend(objects)

    def objects(self, kind: Kind) -> Sequence[Object]:
        return self._objects.get(kind, [])

    def nodes(self) -> Sequence[str]:
        return self.running

    def dns_address(self) -> str:
        return "10.128.0.2"

    def host_address(self) -> str:
        return "169.254.64.1"

    def attachment(self, uid: str) -> Mapping[str, Any] | None:
        return None

    def denials(self) -> Sequence[str]:
        return self.log

    def changes(self, node: str, applier: str) -> Mapping[str, Any] | None:
        return self.change

    def rules(self, node: str) -> str:
        services = ServiceIndex(self)
        ports = [port for ports in services.ports.values() for port in ports]
        written = [port_rules(port, services.chosen(port, node), STYLE, "10.128.0.11") for port in ports]
        shared = NodeRules(non_masquerade=("10.44.0.0/14",))
        tables = build(shared, written)
        tables["filter"] |= PolicyIndex(self).node(node).chains
        for jump in jumps(shared):
            tables[jump.table].setdefault(jump.chain, [])
            tables[jump.table][jump.chain] = [
                *tables[jump.table][jump.chain],
                " ".join(f"-A {jump.chain} {jump.rule} -j {jump.target}".split()),
            ]
        lines = []
        for table, chains in tables.items():
            lines += [f"*{table}", *(f":{chain} - [0:0]" for chain in chains)]
            lines += [f"[7:420] {rule}" for rules in chains.values() for rule in rules]
        return "\n".join(lines)

    def sets(self, node: str) -> str:
        lines = []
        for name, each in PolicyIndex(self).node(node).sets.items():
            lines.append(each.create(name))
            counted = " packets 3 bytes 180" if each.counters else ""
            lines += [f'add {name} {entry}{counted} comment "{text}"' for entry, text in each.members.items()]
        return "\n".join(lines)


def _node(name: str) -> Object:
    address = f"10.128.0.1{name[-1]}"
    return {"metadata": {"name": name}, "status": {"addresses": [{"type": "InternalIP", "address": address}]}}


def make_pod(name: str, address: str, node: str = "node-1", **labels: str) -> Object:
    return {
        "metadata": {"namespace": "default", "name": name, "uid": f"uid-{name}", "labels": labels},
        "spec": {"nodeName": node, "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {"podIP": address, "podIPs": [{"ip": address}], "phase": "Running"},
    }


def make_service(name: str, cluster_ip: str, **spec: Any) -> Object:
    ports = spec.pop("ports", [{"name": "http", "port": 80, "protocol": "TCP"}])
    ingress = spec.pop("ingress", [])
    return {
        "metadata": {"namespace": "default", "name": name},
        "spec": {"clusterIP": cluster_ip, "ports": ports, "type": "ClusterIP", **spec},
        "status": {"loadBalancer": {"ingress": ingress}},
    }


def make_slice(service: str, *addresses: str, node: str = "node-1") -> Object:
    return {
        "metadata": {
            "namespace": "default",
            "name": f"{service}-1",
            "labels": {"kubernetes.io/service-name": service},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [a], "nodeName": node, "conditions": {"ready": True}} for a in addresses],
    }


@pytest.fixture
def world() -> FakeWorld:
    """Three pods behind Services of every sort, and a policy that lets one of them in."""
    made = FakeWorld()
    made.add(NAMESPACE, {"metadata": {"name": "default", "labels": {}}})
    addresses = ("10.44.1.2", "10.44.1.3", "10.44.1.4")
    for number, address in enumerate(addresses):
        made.add(POD, make_pod(f"web-{number}", address, app="web"))
    made.add(POD, make_pod("client", "10.44.2.2", "node-2", role="client"))
    node_port = [{"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080}]
    made.add(
        SERVICE,
        make_service("web", "10.48.0.50", selector={"app": "web"}),
        make_service("sticky", "10.48.0.51", sessionAffinity="ClientIP"),
        make_service(
            "balanced",
            "10.48.0.52",
            type="LoadBalancer",
            ports=node_port,
            ingress=[{"ip": "203.0.113.7"}],
            loadBalancerSourceRanges=["192.0.2.0/24"],
            externalIPs=["198.51.100.1"],
        ),
        make_service(
            "local",
            "10.48.0.53",
            type="NodePort",
            ports=[{**node_port[0], "nodePort": 30081}],
            externalTrafficPolicy="Local",
            internalTrafficPolicy="Local",
        ),
        make_service("empty", "10.48.0.54"),
        make_service("headless", "None"),
    )
    for name in ("web", "sticky", "balanced", "local"):
        made.add(ENDPOINT_SLICE, make_slice(name, *addresses))
    made.add(
        NETWORK_POLICY,
        {
            "metadata": {"namespace": "default", "name": "web"},
            "spec": {
                "podSelector": {"matchLabels": {"app": "web"}},
                "ingress": [
                    {"from": [{"podSelector": {"matchLabels": {"role": "client"}}}], "ports": [{"port": "http"}]}
                ],
            },
        },
    )
    return made
