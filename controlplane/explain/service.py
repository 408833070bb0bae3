"""`netsim explain service`: from a Service to every chain and rule of each node, with what the counters say."""

from __future__ import annotations

from typing import Any

from controlplane.api.kinds import SERVICE
from controlplane.explain import saved
from controlplane.explain.meaning import Interpreter
from controlplane.explain.policies import PolicyIndex
from controlplane.explain.saved import Line
from controlplane.explain.services import ServiceIndex
from controlplane.explain.world import Section, World, find
from controlplane.proxy.model import ServicePort

FRONT_CHAINS = (
    ("nat", "KUBE-SERVICES"),
    ("nat", "KUBE-NODEPORTS"),
    ("filter", "KUBE-SERVICES"),
    ("filter", "KUBE-EXTERNAL-SERVICES"),
    ("filter", "KUBE-PROXY-FIREWALL"),
    ("filter", "KUBE-NODEPORTS"),
)


def explain_service(world: World, namespace: str, name: str) -> list[Section]:
    """The Service and its endpoints, then the chains of each node."""
    service = find(world, SERVICE, namespace, name)
    services, policies = ServiceIndex(world), PolicyIndex(world)
    ports = services.ports[namespace, name]
    sections = [_head(service, services, ports)]
    for node in world.nodes() if ports else ():
        lines = saved.parse(world.rules(node))
        sections.append(_node(node, ports, lines, Interpreter(services, policies, node, lines)))
    return sections


def _head(service: dict[str, Any], services: ServiceIndex, ports: tuple[ServicePort, ...]) -> Section:
    spec, metadata = service["spec"], service["metadata"]
    kind = spec.get("type", "ClusterIP")
    lines, data = [f"type {kind}, cluster IP {spec.get('clusterIP') or 'none'}"], []
    if not ports:
        lines.append("no proxy serves it: it is headless, an ExternalName, or another proxy's. DNS alone knows it.")
    for port in ports:
        lines.append(f"port {port.port_name or port.port}: {_fronts(port)}")
        endpoints = services.endpoints(port)
        for endpoint in endpoints:
            state = "ready" if endpoint.ready else "draining" if endpoint.draining else "not ready"
            pod = services.pod_text(endpoint.ip)
            lines.append(f"  endpoint {endpoint.address}  {state}" + (f"  {pod}" if pod else ""))
            data.append({"port": port.port_name, "address": endpoint.address, "state": state, "pod": pod or None})
        if not endpoints:
            lines.append("  no endpoints: connections are refused")
    title = f"Service {metadata['namespace']}/{metadata['name']}"
    found = {
        "type": kind,
        "clusterIP": spec.get("clusterIP"),
        "ports": [{"name": port.port_name, "addresses": _fronts(port)} for port in ports],
        "endpoints": data,
    }
    return Section("service", title, lines, found)


def _fronts(port: ServicePort) -> str:
    found = [f"{address}:{port.port}/{port.protocol}" for address in port.addresses]
    return ", ".join([*found, *([f"node port {port.node_port}"] if port.node_port else [])])


def _node(node: str, ports: tuple[ServicePort, ...], lines: list[Line], interpreter: Interpreter) -> Section:
    text: list[str] = []
    data: list[dict[str, Any]] = []
    for table, chain, rules in _chains(interpreter, ports, lines):
        purpose = interpreter.chain(chain)
        text.append(f"{table} {chain}" + (f": {purpose}" if purpose else ""))
        told = []
        for line in rules:
            meaning = interpreter.rule(line)
            text += rule_text(line, meaning.reason)
            told.append(line.document() | meaning.document())
        data.append({"table": table, "chain": chain, "purpose": purpose, "rules": told})
    return Section(node, f"Node {node}", text or ["no rule: the proxy has not written it yet"], data)


def _chains(
    interpreter: Interpreter, ports: tuple[ServicePort, ...], lines: list[Line]
) -> list[tuple[str, str, list[Line]]]:
    """Table, chain and the rules of these ports in it, in the order in which a packet meets them."""
    texts = {port.text for port in ports}
    found = []
    for table, chain in FRONT_CHAINS:
        rules = [line for line in lines if (line.table, line.chain) == (table, chain) and _names(line, texts)]
        if rules:
            found.append((table, chain, rules))
    for port in ports:
        for chain in interpreter.chains_of(port):
            rules = [line for line in lines if line.table == "nat" and line.chain == chain]
            if rules:
                found.append(("nat", chain, rules))
    return found


def _names(line: Line, texts: set[str]) -> bool:
    return line.comment in texts or any(line.comment.startswith(f"{text} ") for text in texts)


def rule_text(line: Line, reason: str) -> list[str]:
    """A rule for people: counters, the rule itself, and what it is for."""
    return [f"  [{line.packets}:{line.bytes}] {line.text}", f"      {reason}"]
