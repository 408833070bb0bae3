"""From objects to rules and back, on the rules of Services of every sort and of a policy."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.explain import saved
from controlplane.explain.difference import explain_changes
from controlplane.explain.meaning import Interpreter
from controlplane.explain.pod import explain_pod
from controlplane.explain.policies import PolicyIndex
from controlplane.explain.policy import explain_policies, explain_policy
from controlplane.explain.rule import explain_rule
from controlplane.explain.service import explain_service
from controlplane.explain.services import ServiceIndex
from controlplane.explain.world import NothingToExplain, Section
from tests.unit.explain.conftest import FakeWorld

NOT_NETSIMS = "no rule of netsim's"


def documents(sections: list[Section]) -> dict[str, Any]:
    return {section.key: section.data for section in sections}


def test_every_rule_has_a_reason_and_those_of_services_name_them(world: FakeWorld) -> None:
    lines = saved.parse(world.rules("node-1"))
    interpreter = Interpreter(ServiceIndex(world), PolicyIndex(world), "node-1", lines)
    for line in lines:
        meaning = interpreter.rule(line)
        assert meaning.reason, line.text
        assert NOT_NETSIMS not in meaning.reason, line.text
        if "default/" in line.text and "NETSIM" not in line.text:
            assert meaning.service is not None, line.text
        assert interpreter.chain(line.chain), line.chain


def test_a_service_is_followed_to_its_endpoints(world: FakeWorld) -> None:
    found = documents(explain_service(world, "default", "web"))
    assert [each["address"] for each in found["service"]["endpoints"]] == [
        "10.44.1.2:8080",
        "10.44.1.3:8080",
        "10.44.1.4:8080",
    ]
    chains = {each["chain"]: each for each in found["node-1"]}
    (choice,) = [each for name, each in chains.items() if name.startswith("KUBE-SVC-")]
    choices = [rule for rule in choice["rules"] if "probability" in rule]
    assert [round(rule["probability"], 3) for rule in choices] == [0.333, 0.5, 1.0]
    assert {round(rule["share"], 3) for rule in choices} == {0.333}
    assert [rule["pod"] for rule in choices] == [f"pod default/web-{n} on node-1" for n in range(3)]
    assert all(rule["packets"] == 7 for each in chains.values() for rule in each["rules"])


def test_a_service_shows_only_its_own_rules(world: FakeWorld) -> None:
    for name in ("web", "sticky", "balanced", "local"):
        for each in documents(explain_service(world, "default", name))["node-1"]:
            for rule in each["rules"]:
                assert rule["service"] == f"default/{name}:http", rule["text"]


@pytest.mark.parametrize(
    ("service", "chain", "target", "words"),
    [
        ("web", "KUBE-SERVICES", "KUBE-SVC-", "what is sent to the Service's cluster IP"),
        ("web", "KUBE-SVC-", "KUBE-MARK-MASQ", "must answer through this node"),
        ("web", "KUBE-SEP-", "KUBE-MARK-MASQ", "hairpin"),
        ("web", "KUBE-SEP-", "DNAT", "the destination becomes 10.44.1.2:8080, pod default/web-0 on node-1"),
        ("sticky", "KUBE-SVC-", "KUBE-SEP-", "session affinity"),
        ("balanced", "KUBE-NODEPORTS", "KUBE-EXT-", "node port 30080"),
        ("balanced", "KUBE-SERVICES", "KUBE-FW-", "load-balancer address"),
        ("balanced", "KUBE-SERVICES", "KUBE-EXT-", "external IP"),
        ("balanced", "KUBE-FW-", "KUBE-EXT-", "an allowed source range"),
        ("balanced", "KUBE-PROXY-FIREWALL", "DROP", "did not let in"),
        ("local", "KUBE-EXT-", "KUBE-MARK-MASQ", "comes from the node itself"),
        ("empty", "KUBE-SERVICES", "REJECT", "has no endpoint"),
    ],
)
def test_reasons(world: FakeWorld, service: str, chain: str, target: str, words: str) -> None:
    rules = [
        rule
        for each in documents(explain_service(world, "default", service))["node-1"]
        if each["chain"].startswith(chain)
        for rule in each["rules"]
        if rule["target"].startswith(target)
    ]
    assert any(words in rule["reason"] for rule in rules), [rule["reason"] for rule in rules]


def test_a_node_without_local_endpoints_drops(world: FakeWorld) -> None:
    rules = [r for each in documents(explain_service(world, "default", "local"))["node-2"] for r in each["rules"]]
    assert next(r["reason"] for r in rules if r["target"] == "DROP").endswith("this node has no endpoint: dropped")


def test_a_headless_service_has_no_rules(world: FakeWorld) -> None:
    (head,) = explain_service(world, "default", "headless")
    assert "no proxy serves it" in head.lines[1]


def test_a_line_leads_back_whatever_its_order_and_counters(world: FakeWorld) -> None:
    line = next(
        each for each in saved.parse(world.rules("node-1")) if "10.44.1.3:8080" in each.text and each.target == "DNAT"
    )
    # As iptables-save prints it: the protocol before the comment.
    words = line.text.replace(" -m tcp -p tcp", "").replace(f"-A {line.chain}", f"-A {line.chain} -p tcp -m tcp")
    found = documents(explain_rule(world, f"[12:34] {words}"))["node-1"][0]
    assert (found["service"], found["endpoint"]) == ("default/web:http", "10.44.1.3:8080")
    assert found["number"] == 2


def test_chains_and_sets_are_explained_by_name(world: FakeWorld) -> None:
    chain = next(iter(ServiceIndex(world).chains))
    found = documents(explain_rule(world, chain))["node-1"]
    assert found["purpose"].startswith("chooses among the endpoints")
    assert [each["chain"] for each in found["callers"]] == ["KUBE-SERVICES"]
    (peer,) = [name for name in PolicyIndex(world).selections if "PEER" in name]
    found = documents(explain_rule(world, peer))["node-1"]
    assert found["members"] == [{"entry": "10.44.2.2", "name": "default/client", "packets": 0}]
    with pytest.raises(NothingToExplain, match="no node has this chain or set: KUBE-SVC-X"):
        explain_rule(world, "KUBE-SVC-X")


def test_a_policy_is_told_in_words_with_its_pods_sets_and_denials(world: FakeWorld) -> None:
    world.log = ["t node=node-1 policy=default/other pod=a", "t node=node-1 policy=default/web,default/x pod=b"]
    sections = explain_policy(world, "default", "web")
    found = documents(sections)
    assert found["policy"] == {
        "podSelector": "app=web",
        "pods": ["default/web-0", "default/web-1", "default/web-2"],
        "ingress": ["TCP http from pods role=client in default"],
        "egress": None,
    }
    (chain,) = found["node-1"]["chains"]
    assert chain["denied"] == {"default/web-0": 3, "default/web-1": 3, "default/web-2": 3}
    assert [rule["target"] for rule in chain["rules"]] == ["RETURN", "NFLOG", "DROP"]
    assert {name for each in found["node-1"]["sets"] for name in [each["purpose"]]} == {
        "pods role=client in default",
        "pods with a TCP port named http",
    }
    assert found["denials"] == [world.log[1]]
    assert "node-2" not in found


def test_all_policies_are_listed_with_what_they_denied(world: FakeWorld) -> None:
    found = documents(explain_policies(world))
    assert found["default/web"]["denied"] == {"default/web-0": 3, "default/web-1": 3, "default/web-2": 3}
    (nothing,) = explain_policies(FakeWorld())
    assert nothing.lines == ["there is none: everything is allowed"]


def test_a_pod_shows_services_and_policies(world: FakeWorld) -> None:
    found = documents(explain_pod(world, "default", "web-1"))
    assert found["pod"]["nodeAddress"] == "10.128.0.11"
    assert found["services"] == [{"name": "web", "clusterIP": "10.48.0.50"}]
    (policy,) = found["policies"]
    assert (policy["direction"], policy["policies"], policy["denied"]) == ("ingress", ["default/web"], 3)
    assert documents(explain_pod(world, "default", "client"))["policies"] == []


def test_changes_are_lines_that_came_and_went(world: FakeWorld) -> None:
    assert explain_changes(world, "proxy")[0].lines == ["nothing was changed since the node started"]
    chain = {"table": "nat", "chain": "C", "state": "changed", "removed": ["-A C -j X"], "added": ["-A C -j Y"]}
    each = {"set": "S", "state": "new", "removed": [], "added": ["10.0.0.1"]}
    world.change = {"at": "now", "full": False, "written": 1, "chains": [chain], "sets": [each]}
    assert explain_changes(world, "proxy")[0].lines == [
        "at now",
        "nat C (changed)",
        "  - -A C -j X",
        "  + -A C -j Y",
        "set S (new)",
        "  + 10.0.0.1",
    ]
