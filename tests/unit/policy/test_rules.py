"""Rule and set text, line for line, for the usual policies and for each special case."""

from __future__ import annotations

import pytest

from controlplane.policy import names, restore, sets
from controlplane.policy.model import read_policy
from controlplane.policy.rules import DISPENSABLE, JUMP, SAME_ADDRESS, compile_node
from controlplane.policy.sets import AddressSet
from tests.unit.policy.conftest import WEB, compiled, make_pod, make_policy

POD = make_pod("10.44.1.2", app="web", ports=[("http", "tcp", 8080), ("http", "udp", 8081)])
CLIENT = make_pod("10.44.2.3", node="node-2", role="client")


def allowed(*rules: dict[str, object], direction: str = "ingress", pods: tuple[object, ...] = ()) -> list[str]:
    """The matches of a policy's chain, before its comment, without the two rules that end it."""
    policy = make_policy(policyTypes=[direction.title()], **{direction: list(rules)})
    node = compiled([policy], [POD, CLIENT])
    (chain,) = [chain for chain in node.chains if chain != names.ROOT]
    lines = [line.removeprefix(f"-A {chain} ") for line in node.chains[chain][:-2]]
    assert all(line.endswith("-j RETURN") for line in lines)
    return [line.partition("-m comment")[0].rstrip() for line in lines]


def test_without_a_policy_there_is_nothing() -> None:
    assert compiled([], [POD, CLIENT]).chains == {}
    assert compiled([make_policy(namespace="other")], [POD]).sets == {}


def test_default_deny_of_both_directions() -> None:
    node = compiled([make_policy("deny", policyTypes=["Ingress", "Egress"])], [POD, CLIENT])
    assert node.chains == {
        "NETSIM-POLICY": [
            "-A NETSIM-POLICY -m conntrack --ctstate RELATED,ESTABLISHED "
            '-m comment --comment "replies, and connections that were there before a policy" -j RETURN',
            f'-A NETSIM-POLICY -m bpf --bytecode "{SAME_ADDRESS}" -m comment --comment "a pod may always reach itself" '
            "-j RETURN",
            "-A NETSIM-POLICY -m set --match-set NETSIM-EG-6IOKIYDCBXSGFIXW src ! --update-counters "
            '-m comment --comment "egress of pods selected by default/deny" -j NETSIM-EG-6IOKIYDCBXSGFIXW',
            "-A NETSIM-POLICY -m set --match-set NETSIM-IN-ESDZ7FUTTOQFZZ2T dst ! --update-counters "
            '-m comment --comment "ingress of pods selected by default/deny" -j NETSIM-IN-ESDZ7FUTTOQFZZ2T',
        ],
        "NETSIM-EG-6IOKIYDCBXSGFIXW": [
            "-A NETSIM-EG-6IOKIYDCBXSGFIXW -m limit --limit 10/second --limit-burst 50 "
            "-j NFLOG --nflog-prefix NETSIM-EG-6IOKIYDCBXSGFIXW --nflog-group 100",
            "-A NETSIM-EG-6IOKIYDCBXSGFIXW -m set --match-set NETSIM-EG-6IOKIYDCBXSGFIXW src "
            '-m comment --comment "denied: no egress rule of default/deny allows it" -j DROP',
        ],
        "NETSIM-IN-ESDZ7FUTTOQFZZ2T": [
            "-A NETSIM-IN-ESDZ7FUTTOQFZZ2T -m limit --limit 10/second --limit-burst 50 "
            "-j NFLOG --nflog-prefix NETSIM-IN-ESDZ7FUTTOQFZZ2T --nflog-group 100",
            "-A NETSIM-IN-ESDZ7FUTTOQFZZ2T -m set --match-set NETSIM-IN-ESDZ7FUTTOQFZZ2T dst "
            '-m comment --comment "denied: no ingress rule of default/deny allows it" -j DROP',
        ],
    }
    of_pod = AddressSet("hash:ip", {"10.44.1.2": "default/pod-2"}, counters=True)
    assert node.sets == {"NETSIM-EG-6IOKIYDCBXSGFIXW": of_pod, "NETSIM-IN-ESDZ7FUTTOQFZZ2T": of_pod}


@pytest.mark.parametrize("word", DISPENSABLE)
def test_what_a_kernel_lacks_can_be_left_out(word: str) -> None:
    pods = [(POD, [make_policy("deny")])]
    whole, without = compile_node(pods, lambda _: {}), compile_node(pods, lambda _: {}, without=[word])
    lines = [line for chain in whole.chains.values() for line in chain if word in line]
    assert len(lines) == 1
    assert [line for chain in without.chains.values() for line in chain] == [
        line for chain in whole.chains.values() for line in chain if line not in lines
    ]


def test_the_log_can_be_switched_off() -> None:
    metadata = {"namespace": "default", "name": "quiet", "annotations": {"netsim.io/log-denied": "false"}}
    quiet = read_policy({"metadata": metadata, "spec": {"podSelector": {}}})
    assert "NFLOG" not in str(compiled([quiet], [POD]).chains)
    assert "NFLOG" in str(compiled([quiet, make_policy("deny")], [POD]).chains)


def test_a_rule_says_in_a_comment_whose_it_is_and_what_it_allows() -> None:
    policy = make_policy("web", ingress=[{"from": [WEB], "ports": [{"port": 80}]}])
    node = compiled([policy], [POD])
    peer = names.name(names.PEER, "default||app=web")
    (chain,) = node.postures
    assert node.chains[chain][0] == (
        f"-A {chain} -p tcp -m set --match-set {peer} src -m tcp --dport 80 "
        '-m comment --comment "default/web ingress rule 1: TCP 80 from pods app=web in default" -j RETURN'
    )
    assert node.sets[peer] == AddressSet("hash:ip", {"10.44.1.2": "default/pod-2"})


def test_an_empty_rule_allows_all() -> None:
    assert allowed({}) == [""]
    assert allowed({"from": [], "ports": []}) == [""]


@pytest.mark.parametrize(
    ("port", "match"),
    [
        ({"port": 80}, "-p tcp -m tcp --dport 80"),
        ({"protocol": "UDP"}, "-p udp"),
        ({"protocol": "SCTP", "port": 7}, "-p sctp -m sctp --dport 7"),
        ({"protocol": "UDP", "port": 5000, "endPort": 5010}, "-p udp -m udp --dport 5000:5010"),
        ({"port": 80, "endPort": 80}, "-p tcp -m tcp --dport 80"),
    ],
)
def test_ports(port: dict[str, object], match: str) -> None:
    assert allowed({"ports": [port]}) == [match]


def test_named_ports_are_a_set_of_address_and_port() -> None:
    name = names.name(names.PORT, "tcp|http")
    assert allowed({"ports": [{"port": "http"}]}) == [f"-p tcp -m set --match-set {name} dst,dst"]
    node = compiled([make_policy(ingress=[{"ports": [{"port": "http"}]}])], [POD, CLIENT])
    assert node.sets[name] == AddressSet("hash:ip,port", {"10.44.1.2,tcp:8080": "default/pod-2"})


def test_blocks() -> None:
    assert allowed({"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}) == ["-s 10.0.0.0/8"]
    assert allowed({"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}, direction="egress") == ["-d 10.0.0.0/8"]
    assert allowed({"from": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}) == [""]
    block = {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}
    name = names.name(names.BLOCK, "10.0.0.0/8 except 10.1.0.0/16")
    assert allowed({"from": [block], "ports": [{"port": 80}]}) == [
        f"-p tcp -m set --match-set {name} src -m tcp --dport 80"
    ]


def test_a_block_of_the_other_family_matches_nothing() -> None:
    assert allowed({"from": [{"ipBlock": {"cidr": "fd00::/8"}}]}) == []


def test_peers_and_ports_multiply() -> None:
    rule = {
        "from": [WEB, {"ipBlock": {"cidr": "10.0.0.0/8"}}],
        "ports": [{"port": 80}, {"protocol": "UDP", "port": 53}],
    }
    peer = names.name(names.PEER, "default||app=web")
    assert allowed(rule) == [
        f"-p tcp -m set --match-set {peer} src -m tcp --dport 80",
        f"-p udp -m set --match-set {peer} src -m udp --dport 53",
        "-s 10.0.0.0/8 -p tcp -m tcp --dport 80",
        "-s 10.0.0.0/8 -p udp -m udp --dport 53",
    ]


def test_pods_that_the_same_policies_select_share_a_chain() -> None:
    pods = [make_pod(f"10.44.1.{n}", app="web") for n in range(2, 12)]
    node = compiled([make_policy("a"), make_policy("b", **WEB)], [*pods, make_pod("10.44.1.20", app="db")])
    assert sorted(len(node.sets[name].members) for name in node.postures) == [1, 10]
    assert {posture.text for posture in node.postures.values()} == {"default/a", "default/a, default/b"}


def test_the_range_of_all_addresses_is_two_halves() -> None:
    assert sets.block_members("0.0.0.0/0", ["10.0.0.0/8"]) == {
        "0.0.0.0/1": "",
        "128.0.0.0/1": "",
        "10.0.0.0/8 nomatch": "",
    }
    assert sets.block_members("0.0.0.0/0", ["128.0.0.0/1"]) == {"0.0.0.0/1": ""}
    assert sets.block_members("10.0.0.0/8", ["10.1.0.0/16", "10.2.0.0/16"]) == {
        "10.0.0.0/8": "",
        "10.1.0.0/16 nomatch": "",
        "10.2.0.0/16 nomatch": "",
    }


def test_names_fit_into_the_kernels_limits() -> None:
    for prefix in (names.INGRESS, names.EGRESS):
        assert len(names.name(prefix, "x")) <= 28
    for prefix in (names.PEER, names.BLOCK, names.PORT):
        assert len(names.name(prefix, "x")) <= 31


def test_long_comments_are_cut() -> None:
    policies = [make_policy(f"policy-with-a-long-name-{n}", policyTypes=["Ingress"]) for n in range(20)]
    node = compiled(policies, [POD])
    for lines in node.chains.values():
        for line in lines:
            assert len(line.partition('--comment "')[2].partition('"')[0]) <= 255


def test_members_come_before_others_go() -> None:
    old = {"NETSIM-IN-A": AddressSet("hash:ip", {"10.0.0.1": "a/b"}), "NETSIM-IN-B": AddressSet("hash:ip", {})}
    new = {"NETSIM-IN-A": AddressSet("hash:ip", {}), "NETSIM-IN-B": AddressSet("hash:ip", {"10.0.0.1": "a/b"})}
    assert sets.filled(old, new) == ['add -exist NETSIM-IN-B 10.0.0.1 comment "a/b"', "del NETSIM-IN-A 10.0.0.1"]


def test_an_address_that_changes_hands_is_taken_over() -> None:
    old = {"NETSIM-IN-A": AddressSet("hash:ip", {"10.0.0.1": "a/b"})}
    new = {"NETSIM-IN-A": AddressSet("hash:ip", {"10.0.0.1": "a/c"})}
    assert sets.filled(old, new) == ['add -exist NETSIM-IN-A 10.0.0.1 comment "a/c"']


def test_saved_sets_are_read_back() -> None:
    saved = (
        "create NETSIM-IN-A hash:ip family inet hashsize 1024 maxelem 65536 counters comment bucketsize 12\n"
        'add NETSIM-IN-A 10.0.0.1 packets 3 bytes 87 comment "default/web"\n'
        "create NETSIM-NET-B hash:net family inet hashsize 1024 maxelem 65536 comment bucketsize 12 initval 0x1\n"
        "add NETSIM-NET-B 10.1.0.0/16 nomatch\n"
        "create other hash:ip family inet\nadd other 10.0.0.9\n"
    )
    assert sets.parse(saved) == {
        "NETSIM-IN-A": AddressSet("hash:ip", {"10.0.0.1": "default/web"}, counters=True),
        "NETSIM-NET-B": AddressSet("hash:net", {"10.1.0.0/16 nomatch": ""}),
    }
    assert sets.parse_member('10.0.0.1 packets 3 bytes 87 comment "default/web"') == ("10.0.0.1", "default/web", 3)


def test_a_change_names_only_what_differs() -> None:
    before = {names.ROOT: ["r"], "NETSIM-IN-A": ["a"], "NETSIM-IN-B": ["b"]}
    after = {names.ROOT: ["r"], "NETSIM-IN-A": ["a2"]}
    assert restore.changes(before, before) == ""
    assert restore.changes(before, after).splitlines() == [
        "*filter",
        ":NETSIM-IN-A - [0:0]",
        ":NETSIM-IN-B - [0:0]",
        "a2",
        "-X NETSIM-IN-B",
        "COMMIT",
    ]


def test_the_jump_comes_with_the_first_policy_and_goes_with_the_last() -> None:
    chains = {names.ROOT: ["r"]}
    assert f"-I FORWARD 1 {JUMP}" in restore.changes({}, chains).splitlines()
    assert restore.changes(chains, {}).splitlines() == [
        "*filter",
        f":{names.ROOT} - [0:0]",
        f"-D FORWARD {JUMP}",
        f"-X {names.ROOT}",
        "COMMIT",
    ]


def test_a_jump_that_is_not_first_is_moved() -> None:
    saved = f"*filter\n:{names.ROOT} - [0:0]\n-A FORWARD -j KUBE-FORWARD\n-A FORWARD {JUMP}\nCOMMIT\n"
    chains = {names.ROOT: ["r"]}
    assert not restore.in_place(saved, chains)
    lines = restore.full(saved, chains).splitlines()
    assert lines.index(f"-D FORWARD {JUMP}") < lines.index(f"-I FORWARD 1 {JUMP}")
    right = f"*filter\n:{names.ROOT} - [0:0]\n-A FORWARD {JUMP}\n-A FORWARD -j KUBE-FORWARD\nCOMMIT\n"
    assert restore.in_place(right, chains)
    assert "FORWARD" not in restore.full(right, chains)
    assert restore.full("*filter\nCOMMIT\n", {}) == ""
