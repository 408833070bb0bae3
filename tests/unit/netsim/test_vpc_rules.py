"""The texts that a VPC's rules come to, without a kernel."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netsim.vpc import FirewallRule, NodePlan, PathRule, SubnetPlan, VpcPlan, shaping
from netsim.vpc.default_rules import default_rules, rule_names
from netsim.vpc.firewall import all_rules, table_text
from netsim.vpc.verdict import Connection, denying_rule

ONE = NodePlan("one", "east", "10.1.0.11", "10.9.1.0/24", zone="us-east1-b", tags=("web",))
TWO = NodePlan("two", "west", "10.2.0.11", "10.9.2.0/24", zone="us-west1-a", tags=("db",))
THREE = NodePlan("three", "west", "10.2.0.12", "", zone="us-west1-b")


def plan(*rules: FirewallRule, paths: tuple[PathRule, ...] = ()) -> VpcPlan:
    subnets = (
        SubnetPlan("east", "10.1.0.0/20", "10.1.0.1", "10.9.0.0/16", region="us-east1"),
        SubnetPlan("west", "10.2.0.0/20", "10.2.0.1", "", region="us-west1"),
    )
    return VpcPlan("lab", subnets, "10.3.0.0/20", "203.0.113.0/24", "10.1.0.2", firewall=rules, paths=paths)


def lines_of(rule: FirewallRule, nodes: tuple[NodePlan, ...] = (ONE, TWO, THREE)) -> list[str]:
    text = table_text(plan(rule), nodes)
    return [line.strip() for line in text.splitlines() if line.endswith(f'comment "{rule.name}"')]


def test_priority_decides_and_a_denial_goes_before_an_allowance_of_the_same() -> None:
    rules = all_rules(plan(FirewallRule("a"), FirewallRule("b", action="deny"), FirewallRule("c", priority=1)))
    assert [rule.name for rule in rules][:3] == ["c", "b", "a"]
    assert [rule.name for rule in rules][-2:] == ["implied-allow-egress", "implied-deny-ingress"]


def test_the_default_rules_are_those_whose_names_are_taken() -> None:
    names = [rule.name for rule in default_rules(plan())]
    assert sorted([*names, "implied-allow-egress", "implied-deny-ingress"]) == sorted(rule_names("lab"))


@pytest.mark.parametrize(
    ("rule", "lines"),
    [
        (FirewallRule("all"), ['counter name rule-all return comment "all"']),
        (
            FirewallRule("web", protocols=("tcp:443", "tcp:80-90", "tcp:85-95", "udp", "icmp"), target_tags=("web",)),
            [
                "ip daddr { 10.1.0.11/32, 10.9.1.0/24 } ip protocol { 1, 17 } counter name rule-web return"
                ' comment "web"',
                "ip daddr { 10.1.0.11/32, 10.9.1.0/24 } tcp dport { 80-95, 443 } counter name rule-web return"
                ' comment "web"',
            ],
        ),
        (
            FirewallRule(
                "out", direction="egress", action="deny", target_tags=("db",), destination_ranges=("8.0.0.0/8",)
            ),
            ['ip daddr { 8.0.0.0/8 } ip saddr { 10.2.0.11/32, 10.9.2.0/24 } counter name rule-out drop comment "out"'],
        ),
        (
            FirewallRule("tagged", source_tags=("db",), source_ranges=("10.2.0.0/24",), logging=True),
            [
                'ip saddr { 10.2.0.0/24 } log prefix "ingress allow tagged" group 78 snaplen 128'
                ' counter name rule-tagged return comment "tagged"'
            ],
        ),
        (FirewallRule("nobody", source_tags=("none",)), []),
        (FirewallRule("unseen", target_tags=("none",)), []),
        (FirewallRule("off", disabled=True), []),
    ],
)
def test_a_rule_in_nfts_words(rule: FirewallRule, lines: list[str]) -> None:
    assert lines_of(rule) == lines


def test_a_rule_that_is_gone_takes_its_counter_along() -> None:
    assert table_text(plan(), (), stale=["rule-old", "established"]).endswith("}\ndelete counter ip vpc rule-old\n")


def test_the_way_that_names_the_most_zones_counts() -> None:
    found = shaping.ways(
        [PathRule(("us-east1", "us-west1"), rate=1000), PathRule(("us-west1-a", "us-east1"), rate=2000)]
    )
    east, west_a, west_b = ("us-east1", "us-east1-b"), ("us-west1", "us-west1-a"), ("us-west1", "us-west1-b")

    def rate(origin: tuple[str, str], target: tuple[str, str]) -> int:
        way = shaping.way_between(found, origin, target)
        return way.rule.rate if way else 0

    assert [rate(east, west_b), rate(west_b, east), rate(east, west_a), rate(west_a, east)] == [1000, 1000, 2000, 2000]
    assert rate(east, east) == rate(west_a, west_b) == 0


def test_a_class_keeps_its_number_when_others_come() -> None:
    few = {(way.origin, way.target): way.minor for way in shaping.ways([PathRule(("a", "b"))])}
    many = {(way.origin, way.target): way.minor for way in shaping.ways([PathRule(("a", "b")), PathRule(("a", "c"))])}
    assert few.items() <= many.items()
    assert len(set(many.values())) == 4
    assert len({way.minor for way in shaping.ways([PathRule((f"a{n}", "b")) for n in range(500)])}) == 1000


def test_packets_find_their_class_by_source_and_destination() -> None:
    paths = (PathRule(("us-east1", "us-west1"), rate=1000),)
    minors = {way.origin: f"{way.minor:x}" for way in shaping.ways(paths)}
    text = shaping.table_text(plan(paths=paths), (ONE, TWO, THREE))
    east = minors["us-east1"]
    assert f"ip daddr map {{ 10.2.0.11/32 : 1:{east}, 10.9.2.0/24 : 1:{east}, 10.2.0.12/32 : 1:{east} }}" in text
    assert "ip saddr vmap { 10.1.0.11/32 : jump from-0, 10.9.1.0/24 : jump from-0, 10.2.0.11/32 : jump from-1" in text


POD_ONE, POD_TWO = "10.9.1.5", "10.9.2.7"


@pytest.mark.parametrize(
    ("rule", "asked", "denied"),
    [
        (FirewallRule("no"), Connection(POD_ONE, POD_TWO, "tcp", 80), ""),
        (
            FirewallRule("no", action="deny", priority=1, protocols=("tcp:80-90",)),
            Connection(POD_ONE, POD_TWO, "tcp", 80),
            "no",
        ),
        (
            FirewallRule("no", action="deny", priority=1, protocols=("tcp:80-90",)),
            Connection(POD_ONE, POD_TWO, "tcp", 91),
            "",
        ),
        (FirewallRule("no", action="deny", priority=1, disabled=True), Connection(POD_ONE, POD_TWO, "icmp"), ""),
        (FirewallRule("no", action="deny", target_tags=("db",)), Connection(POD_ONE, POD_TWO, "icmp"), "no"),
        (FirewallRule("no", action="deny", target_tags=("db",)), Connection(POD_TWO, POD_ONE, "icmp"), ""),
        (FirewallRule("no", action="deny", source_tags=("web",)), Connection(ONE.address, POD_TWO, "udp", 1), "no"),
        (FirewallRule("no", action="deny", source_tags=("web",)), Connection(POD_ONE, POD_TWO, "udp", 1), ""),
        (FirewallRule("no", "egress", "deny", target_tags=("web",)), Connection(POD_ONE, "8.8.8.8", "udp", 53), "no"),
        (FirewallRule("no", action="deny"), Connection(POD_ONE, ONE.address, "tcp", 80), ""),
        (FirewallRule("any"), Connection("192.0.2.1", POD_ONE, "tcp", 80), ""),
        (
            FirewallRule("no", priority=5, source_ranges=("10.0.0.0/8",)),
            Connection("192.0.2.1", POD_ONE, "tcp", 80),
            "implied-deny-ingress",
        ),
    ],
)
def test_the_rule_that_denies_a_connection(rule: FirewallRule, asked: Connection, denied: str) -> None:
    found = denying_rule(plan(rule), (ONE, TWO, THREE), asked)
    assert (found.name if found else "") == denied


def test_in_an_overlay_it_is_the_nodes_that_the_firewall_sees() -> None:
    tunnel = FirewallRule("no-vxlan", action="deny", priority=1, protocols=("udp:8472",))
    overlaid = replace(plan(tunnel), overlay=True)
    found = denying_rule(overlaid, (ONE, TWO), Connection(POD_ONE, POD_TWO, "tcp", 80))
    assert found == tunnel
    assert denying_rule(overlaid, (ONE, TWO), Connection(ONE.address, TWO.address, "tcp", 80)) is None
