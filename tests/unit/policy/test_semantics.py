"""What NetworkPolicies mean, by three independent readings of random clusters: the rules' text as a kernel would go
through it, the verdict from the values, and an oracle that reads the API objects word by word."""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Mapping
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.api.types import Object
from controlplane.policy import names
from controlplane.policy.model import Pod, Policy, Selection, read_pod, read_policy
from controlplane.policy.rules import NodePolicy, compile_node
from controlplane.policy.verdict import Connection, End, denial

NAMESPACES = {"a": {"team": "x"}, "b": {"team": "y", "env": "prod"}, "c": {}}
KEYS, VALUES = ("app", "tier"), ("u", "v")
OUTSIDE = ("10.0.0.9", "192.0.2.1")
BLOCKS = ("10.0.0.0/8", "10.1.0.0/16", "192.0.2.0/24", "0.0.0.0/0", "10.1.1.0/24", "10.1.1.2/32", "fd00::/8")

labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))
expression = st.one_of(
    st.fixed_dictionaries(
        {
            "key": st.sampled_from((*KEYS, "team", "env")),
            "operator": st.sampled_from(("In", "NotIn")),
            "values": st.lists(st.sampled_from((*VALUES, "x", "prod")), min_size=1, max_size=2),
        }
    ),
    st.fixed_dictionaries(
        {"key": st.sampled_from((*KEYS, "team")), "operator": st.sampled_from(("Exists", "DoesNotExist"))}
    ),
)
selector = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"matchLabels": labels}),
    st.fixed_dictionaries({"matchExpressions": st.lists(expression, max_size=2)}),
)
namespace_selector = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"matchLabels": st.dictionaries(st.just("team"), st.sampled_from(("x", "y")))}),
    st.fixed_dictionaries({"matchExpressions": st.lists(expression, max_size=1)}),
)


@st.composite
def blocks(draw: st.DrawFn) -> Object:
    cidr = ipaddress.ip_network(draw(st.sampled_from(BLOCKS)))
    inside = [each for each in map(ipaddress.ip_network, BLOCKS) if each.version == cidr.version and each != cidr]
    inside = [each for each in inside if each.subnet_of(cidr)]  # type: ignore[arg-type]
    chosen = draw(st.lists(st.sampled_from(inside), max_size=2, unique=True)) if inside else []
    return {"ipBlock": {"cidr": str(cidr), "except": [str(each) for each in chosen]}}


peer = st.one_of(
    st.fixed_dictionaries({"podSelector": selector}),
    st.fixed_dictionaries({"namespaceSelector": namespace_selector}),
    st.fixed_dictionaries({"podSelector": selector, "namespaceSelector": namespace_selector}),
    blocks(),
)
port = st.one_of(
    st.fixed_dictionaries({"protocol": st.sampled_from(("TCP", "UDP", "SCTP"))}),
    st.fixed_dictionaries({"protocol": st.sampled_from(("TCP", "UDP")), "port": st.sampled_from((80, 81, "web"))}),
    st.fixed_dictionaries({"protocol": st.just("TCP"), "port": st.just(79), "endPort": st.sampled_from((79, 80))}),
)


def rules(side: str) -> st.SearchStrategy[list[Object]]:
    full = st.fixed_dictionaries({side: st.lists(peer, max_size=2), "ports": st.lists(port, max_size=2)})
    return st.lists(st.one_of(st.just({}), full), max_size=2)


@st.composite
def policies(draw: st.DrawFn) -> list[Object]:
    found = []
    for number in range(draw(st.integers(0, 4))):
        spec: Object = {"podSelector": draw(selector), "ingress": draw(rules("from")), "egress": draw(rules("to"))}
        types = draw(st.sampled_from((None, ["Ingress"], ["Egress"], ["Ingress", "Egress"])))
        if types:
            spec["policyTypes"] = types
        metadata = {"namespace": draw(st.sampled_from(tuple(NAMESPACES))), "name": f"p{number}"}
        found.append({"metadata": metadata, "spec": spec})
    return found


@st.composite
def pods(draw: st.DrawFn) -> list[Object]:
    found = []
    for number in range(draw(st.integers(2, 5))):
        ports = [{"name": "web", "containerPort": draw(st.sampled_from((80, 81)))}] if draw(st.booleans()) else []
        found.append(
            {
                "metadata": {
                    "uid": f"u{number}",
                    "namespace": draw(st.sampled_from(tuple(NAMESPACES))),
                    "name": f"pod{number}",
                    "labels": draw(labels),
                },
                "spec": {"nodeName": draw(st.sampled_from(("n1", "n2"))), "containers": [{"ports": ports}]},
                "status": {"podIPs": [{"ip": f"10.1.{draw(st.integers(0, 1))}.{number + 1}"}], "phase": "Running"},
            }
        )
    return found


@settings(max_examples=30, deadline=None)
@given(policies(), pods())
def test_rules_verdict_and_oracle_agree(policy_objects: list[Object], pod_objects: list[Object]) -> None:
    read = [read_policy(each) for each in policy_objects]
    model = [pod for each in pod_objects if (pod := read_pod(each)) is not None]
    kernels = {node: compiled(node, read, model) for node in ("n1", "n2")}
    by_address = {pod.address: pod for pod in model}
    objects = {each["status"]["podIPs"][0]["ip"]: each for each in pod_objects}
    addresses = [*by_address, *OUTSIDE]
    for source in addresses:
        for target in addresses:
            for protocol, number in (("tcp", 79), ("tcp", 80), ("tcp", 81), ("udp", 80), ("icmp", 0)):
                packet = (source, target, protocol, number)
                # A node's rules see what its pods send and get; an allowed packet passes those of both ends.
                nodes = {by_address[end].node for end in (source, target) if end in by_address}
                by_rules = all(passes(kernels[node], packet) for node in nodes)
                ends = End(source, by_address.get(source)), End(target, by_address.get(target))
                connection = Connection(*ends, protocol, number)
                found = denial(connection, lambda pod: selecting(read, pod), lambda namespace: NAMESPACES[namespace])
                wanted = oracle(policy_objects, objects, packet)
                assert by_rules == wanted, packet
                assert (found is None) == wanted, packet


def selecting(read: list[Policy], pod: Pod) -> list[Policy]:
    return [each for each in read if each.namespace == pod.namespace and each.selects(pod.labels)]


def compiled(node: str, read: list[Policy], model: list[Pod]) -> NodePolicy:
    def members(selection: Selection) -> dict[str, Pod]:
        return {pod.uid: pod for pod in model if selection.matches(pod, NAMESPACES[pod.namespace])}

    here = [(pod, sorted(selecting(read, pod), key=lambda each: each.key)) for pod in model if pod.node == node]
    return compile_node([(pod, found) for pod, found in here if found], members)


Packet = tuple[str, str, str, int]
"""Source, destination, protocol, destination port."""


def passes(kernel: NodePolicy, packet: Packet) -> bool:
    """Whether a first packet passes the chains, gone through as the kernel does."""

    def run(chain: str) -> bool:
        for line in kernel.chains[chain]:
            words = shlex.split(line)
            target = words[words.index("-j") + 1]
            if target == "NFLOG" or not matches(kernel, words, packet):
                continue
            if target == "DROP":
                return False
            if target == "RETURN":
                return True
            if not run(target):
                return False
        return True

    return run(names.ROOT) if kernel.chains else True


def matches(kernel: NodePolicy, words: list[str], packet: Packet) -> bool:
    source, target, protocol, number = packet
    for index, word in enumerate(words):
        value = words[index + 1] if index + 1 < len(words) else ""
        if word == "--ctstate":
            return False
        if word == "--bytecode" and source != target:
            return False
        if word == "-p" and value != protocol:
            return False
        if word == "-s" and not within(source, value):
            return False
        if word == "-d" and not within(target, value):
            return False
        if word == "--dport":
            first, _, last = value.partition(":")
            if not int(first) <= number <= int(last or first):
                return False
        if word == "--match-set" and not in_set(kernel, value, words[index + 2], packet):
            return False
    return True


def in_set(kernel: NodePolicy, name: str, sides: str, packet: Packet) -> bool:
    source, target, protocol, number = packet
    found = kernel.sets[name]
    address = source if sides.startswith("src") else target
    if found.kind == "hash:ip,port":
        return f"{address},{protocol}:{number}" in found.members
    if found.kind == "hash:ip":
        return address in found.members
    # The narrowest entry decides; one with nomatch says no.
    entries = [entry.split() for entry in found.members]
    taken = [entry for entry in entries if within(address, entry[0])]
    narrowest = max(taken, key=lambda entry: ipaddress.ip_network(entry[0]).prefixlen, default=None)
    return narrowest is not None and narrowest[-1] != "nomatch"


def within(address: str, cidr: str) -> bool:
    return ipaddress.ip_address(address) in ipaddress.ip_network(cidr)


def oracle(policy_objects: list[Object], objects: Mapping[str, Object], packet: Packet) -> bool:
    """The specification's words, on the objects as they were written."""
    source, target, protocol, number = packet
    if source == target:
        return True
    return side_allows("Egress", "to", policy_objects, objects, (source, target, target), (protocol, number)) and (
        side_allows("Ingress", "from", policy_objects, objects, (target, source, target), (protocol, number))
    )


def side_allows(
    direction: str,
    side: str,
    policy_objects: list[Object],
    objects: Mapping[str, Object],
    ends: tuple[str, str, str],
    what: tuple[str, int],
) -> bool:
    subject, other, target = ends
    pod = objects.get(subject)
    if pod is None:
        return True
    isolated = False
    for policy in policy_objects:
        spec, namespace = policy["spec"], policy["metadata"]["namespace"]
        types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec["egress"] else ["Ingress"])
        if direction not in types or namespace != pod["metadata"]["namespace"]:
            continue
        if not selects(spec["podSelector"], pod["metadata"]["labels"]):
            continue
        isolated = True
        for rule in spec[direction.lower()]:
            peers, ports = rule.get(side), rule.get("ports")
            peer_fits = not peers or any(is_peer(each, namespace, other, objects) for each in peers)
            port_fits = not ports or any(is_port(each, what, objects.get(target)) for each in ports)
            if peer_fits and port_fits:
                return True
    return not isolated


def is_peer(wanted: Object, namespace: str, address: str, objects: Mapping[str, Object]) -> bool:
    if "ipBlock" in wanted:
        block = wanted["ipBlock"]
        return within(address, block["cidr"]) and not any(within(address, each) for each in block["except"])
    pod = objects.get(address)
    if pod is None:
        return False
    of = pod["metadata"]["namespace"]
    if "namespaceSelector" in wanted:
        if not selects(wanted["namespaceSelector"], NAMESPACES[of]):
            return False
    elif of != namespace:
        return False
    return selects(wanted.get("podSelector", {}), pod["metadata"]["labels"])


def is_port(wanted: Object, what: tuple[str, int], target: Object | None) -> bool:
    protocol, number = what
    if wanted["protocol"].lower() != protocol:
        return False
    first = wanted.get("port")
    if first is None:
        return True
    if isinstance(first, str):
        ports = target["spec"]["containers"][0]["ports"] if target else []
        return protocol == "tcp" and any(each["name"] == first and each["containerPort"] == number for each in ports)
    return bool(first <= number <= wanted.get("endPort", first))


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for term in selector.get("matchExpressions", []):
        value = labels.get(term["key"])
        fits: dict[str, Any] = {
            "In": value in term.get("values", ()),
            "NotIn": value not in term.get("values", ()),
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not fits[term["operator"]]:
            return False
    return True
