"""Rule text, line for line, for Services like those of kube-proxy's own overall test, and for each special case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from controlplane.api.types import Object
from controlplane.proxy.endpoints import choose
from controlplane.proxy.model import read_endpoints, read_service
from controlplane.proxy.rules import LocalTraffic, PortRules, Style, port_rules, probability

NODE = "node-1"
NODE_IP = "10.128.0.11"
STYLE = Style(LocalTraffic.by_cidr("10.44.0.0/14"))

Make = Callable[..., Object]


def rules_of(service: Object, *slices: Object, style: Style = STYLE) -> PortRules:
    (port,) = read_service(service)
    endpoints = read_endpoints(slices).get(port.key, ())
    return port_rules(port, choose(port, endpoints, NODE, "zone-a"), style, NODE_IP)


def lines_of(rules: PortRules) -> list[str]:
    return [line for chain in rules.chains.values() for line in chain]


def test_cluster_ip_with_one_endpoint(service: Make, endpoint_slice: Make) -> None:
    rules = rules_of(service("ns1", "svc1", "172.30.0.41"), endpoint_slice("ns1", "svc1", "10.180.0.1"))
    assert rules.nat_services == [
        '-A KUBE-SERVICES -m comment --comment "ns1/svc1:p80 cluster IP" -m tcp -p tcp -d 172.30.0.41 --dport 80 '
        "-j KUBE-SVC-XPGD46QRK7WJZT7O"
    ]
    assert rules.chains == {
        "KUBE-SVC-XPGD46QRK7WJZT7O": [
            '-A KUBE-SVC-XPGD46QRK7WJZT7O -m comment --comment "ns1/svc1:p80 cluster IP" -m tcp -p tcp '
            "-d 172.30.0.41 --dport 80 ! -s 10.44.0.0/14 -j KUBE-MARK-MASQ",
            '-A KUBE-SVC-XPGD46QRK7WJZT7O -m comment --comment "ns1/svc1:p80 -> 10.180.0.1:80" '
            "-j KUBE-SEP-SXIVWICOYRO3J4NJ",
        ],
        "KUBE-SEP-SXIVWICOYRO3J4NJ": [
            "-A KUBE-SEP-SXIVWICOYRO3J4NJ -m comment --comment ns1/svc1:p80 -s 10.180.0.1 -j KUBE-MARK-MASQ",
            "-A KUBE-SEP-SXIVWICOYRO3J4NJ -m comment --comment ns1/svc1:p80 -m tcp -p tcp "
            "-j DNAT --to-destination 10.180.0.1:80",
        ],
    }
    assert [rules.nat_nodeports, rules.filter_services, rules.filter_external] == [[], [], []]


def test_load_balancer_with_policy_local_and_no_local_endpoint(service: Make, endpoint_slice: Make) -> None:
    rules = rules_of(
        service(
            "ns2",
            "svc2",
            "172.30.0.42",
            type="LoadBalancer",
            externalTrafficPolicy="Local",
            externalIPs=["192.168.99.22"],
            ingress=[{"ip": "1.2.3.4"}],
            healthCheckNodePort=30000,
            ports=[{"name": "p80", "port": 80, "nodePort": 3001, "protocol": "TCP"}],
        ),
        endpoint_slice("ns2", "svc2", "10.180.0.2"),
    )
    assert rules.nat_services == [
        '-A KUBE-SERVICES -m comment --comment "ns2/svc2:p80 cluster IP" -m tcp -p tcp -d 172.30.0.42 --dport 80 '
        "-j KUBE-SVC-GNZBNJ2PO5MGZ6GT",
        '-A KUBE-SERVICES -m comment --comment "ns2/svc2:p80 external IP" -m tcp -p tcp -d 192.168.99.22 --dport 80 '
        "-j KUBE-EXT-GNZBNJ2PO5MGZ6GT",
        '-A KUBE-SERVICES -m comment --comment "ns2/svc2:p80 loadbalancer IP" -m tcp -p tcp -d 1.2.3.4 --dport 80 '
        "-j KUBE-EXT-GNZBNJ2PO5MGZ6GT",
    ]
    assert rules.nat_nodeports == [
        "-A KUBE-NODEPORTS -m comment --comment ns2/svc2:p80 -m tcp -p tcp --dport 3001 -j KUBE-EXT-GNZBNJ2PO5MGZ6GT"
    ]
    assert rules.filter_nodeports == [
        '-A KUBE-NODEPORTS -m comment --comment "ns2/svc2:p80 health check node port" -m tcp -p tcp --dport 30000 '
        "-j ACCEPT"
    ]
    refusal = '-A KUBE-EXTERNAL-SERVICES -m comment --comment "ns2/svc2:p80 has no local endpoints"'
    assert rules.filter_external == [
        f"{refusal} -m tcp -p tcp -d 192.168.99.22 --dport 80 -j DROP",
        f"{refusal} -m tcp -p tcp -d 1.2.3.4 --dport 80 -j DROP",
        f"{refusal} -m addrtype --dst-type LOCAL -m tcp -p tcp --dport 3001 -j DROP",
    ]
    chain = "KUBE-EXT-GNZBNJ2PO5MGZ6GT"
    assert rules.chains[chain] == [
        f'-A {chain} -m comment --comment "pod traffic for ns2/svc2:p80 external destinations" -s 10.44.0.0/14 '
        "-j KUBE-SVC-GNZBNJ2PO5MGZ6GT",
        f'-A {chain} -m comment --comment "masquerade LOCAL traffic for ns2/svc2:p80 external destinations" '
        "-m addrtype --src-type LOCAL -j KUBE-MARK-MASQ",
        f'-A {chain} -m comment --comment "route LOCAL traffic for ns2/svc2:p80 external destinations" '
        "-m addrtype --src-type LOCAL -j KUBE-SVC-GNZBNJ2PO5MGZ6GT",
    ]
    assert "KUBE-SVL-GNZBNJ2PO5MGZ6GT" not in rules.chains


def test_policy_local_with_a_local_endpoint_leads_there(service: Make, endpoint_slice: Make) -> None:
    rules = rules_of(
        service(
            "ns2",
            "svc2",
            "172.30.0.42",
            type="NodePort",
            externalTrafficPolicy="Local",
            ports=[{"name": "p80", "port": 80, "nodePort": 3001}],
        ),
        endpoint_slice("ns2", "svc2", "10.180.0.2", ("10.180.0.9", {"nodeName": NODE})),
    )
    assert rules.chains["KUBE-EXT-GNZBNJ2PO5MGZ6GT"][-1] == (
        "-A KUBE-EXT-GNZBNJ2PO5MGZ6GT -j KUBE-SVL-GNZBNJ2PO5MGZ6GT"
    )
    (only,) = rules.chains["KUBE-SVL-GNZBNJ2PO5MGZ6GT"]
    assert '"ns2/svc2:p80 -> 10.180.0.9:80"' in only
    assert len(rules.chains["KUBE-SVC-GNZBNJ2PO5MGZ6GT"]) == 3
    assert not rules.filter_external


def test_source_ranges_and_affinity(service: Make, endpoint_slice: Make) -> None:
    rules = rules_of(
        service(
            "ns5",
            "svc5",
            "172.30.0.45",
            type="LoadBalancer",
            ingress=[{"ip": "5.6.7.8", "ipMode": "VIP"}],
            loadBalancerSourceRanges=[" 203.0.113.0/25", "fd00::/64"],
            sessionAffinity="ClientIP",
            sessionAffinityConfig={"clientIP": {"timeoutSeconds": 10800}},
            ports=[{"name": "p80", "port": 80, "nodePort": 3002}],
        ),
        endpoint_slice("ns5", "svc5", "10.180.0.3"),
    )
    firewall = "KUBE-FW-NUKIZ6OKUXPJNT4C"
    assert rules.nat_services[1].endswith(f"-d 5.6.7.8 --dport 80 -j {firewall}")
    assert rules.filter_firewall == [
        f'-A KUBE-PROXY-FIREWALL -m comment --comment "ns5/svc5:p80 traffic not accepted by {firewall}" '
        "-m tcp -p tcp -d 5.6.7.8 --dport 80 -j DROP"
    ]
    assert rules.chains[firewall] == [
        f'-A {firewall} -m comment --comment "ns5/svc5:p80 loadbalancer IP" -s 203.0.113.0/25 '
        "-j KUBE-EXT-NUKIZ6OKUXPJNT4C",
        f'-A {firewall} -m comment --comment "other traffic to ns5/svc5:p80 will be dropped by KUBE-PROXY-FIREWALL"',
    ]
    assert rules.chains["KUBE-EXT-NUKIZ6OKUXPJNT4C"] == [
        "-A KUBE-EXT-NUKIZ6OKUXPJNT4C -m comment --comment "
        '"masquerade traffic for ns5/svc5:p80 external destinations" -j KUBE-MARK-MASQ',
        "-A KUBE-EXT-NUKIZ6OKUXPJNT4C -j KUBE-SVC-NUKIZ6OKUXPJNT4C",
    ]
    assert rules.chains["KUBE-SVC-NUKIZ6OKUXPJNT4C"][1:] == [
        '-A KUBE-SVC-NUKIZ6OKUXPJNT4C -m comment --comment "ns5/svc5:p80 -> 10.180.0.3:80" '
        "-m recent --name KUBE-SEP-I77PXRDZVX7PMWMN --rcheck --seconds 10800 --reap -j KUBE-SEP-I77PXRDZVX7PMWMN",
        '-A KUBE-SVC-NUKIZ6OKUXPJNT4C -m comment --comment "ns5/svc5:p80 -> 10.180.0.3:80" '
        "-j KUBE-SEP-I77PXRDZVX7PMWMN",
    ]
    assert rules.chains["KUBE-SEP-I77PXRDZVX7PMWMN"][1] == (
        "-A KUBE-SEP-I77PXRDZVX7PMWMN -m comment --comment ns5/svc5:p80 "
        "-m recent --name KUBE-SEP-I77PXRDZVX7PMWMN --set -m tcp -p tcp -j DNAT --to-destination 10.180.0.3:80"
    )


def test_source_range_that_holds_the_node_lets_the_address_itself_in(service: Make, endpoint_slice: Make) -> None:
    rules = rules_of(
        service(
            "ns5",
            "svc5",
            "172.30.0.45",
            type="LoadBalancer",
            ingress=[{"ip": "5.6.7.8"}],
            loadBalancerSourceRanges=["10.128.0.0/20"],
            ports=[{"name": "p80", "port": 80, "nodePort": 3002}],
        ),
        endpoint_slice("ns5", "svc5", "10.180.0.3"),
    )
    sources = [line.split(" -s ")[1].split()[0] for line in rules.chains["KUBE-FW-NUKIZ6OKUXPJNT4C"][:-1]]
    assert sources == ["10.128.0.0/20", "5.6.7.8"]


def test_no_endpoints_is_refused_everywhere(service: Make) -> None:
    rules = rules_of(
        service(
            "ns6",
            "svc6",
            "172.30.0.46",
            type="LoadBalancer",
            ingress=[{"ip": "5.6.7.8"}],
            loadBalancerSourceRanges=["10.0.0.0/8"],
            ports=[{"name": "p80", "port": 80, "nodePort": 3002}],
        )
    )
    assert rules.filter_services == [
        '-A KUBE-SERVICES -m comment --comment "ns6/svc6:p80 has no endpoints" -m tcp -p tcp -d 172.30.0.46 '
        "--dport 80 -j REJECT"
    ]
    refusal = '-A KUBE-EXTERNAL-SERVICES -m comment --comment "ns6/svc6:p80 has no endpoints"'
    assert rules.filter_external == [
        f"{refusal} -m tcp -p tcp -d 5.6.7.8 --dport 80 -j REJECT",
        f"{refusal} -m addrtype --dst-type LOCAL -m tcp -p tcp --dport 3002 -j REJECT",
    ]
    assert rules.chains == {}
    assert [rules.nat_services, rules.nat_nodeports, rules.filter_firewall] == [[], [], []]


def test_probabilities_fall_to_certainty(service: Make, endpoint_slice: Make) -> None:
    rules = rules_of(
        service("ns4", "svc4", "172.30.0.44"),
        endpoint_slice("ns4", "svc4", "10.180.0.6", "10.180.0.5", "10.180.0.4"),
    )
    chain = rules.chains["KUBE-SVC-4SW47YFZTEDKD3PK"][1:]
    assert [line.split("-> ")[1] for line in chain] == [
        '10.180.0.4:80" -m statistic --mode random --probability 0.3333333333 -j KUBE-SEP-UKSFD7AGPMPPLUHC',
        '10.180.0.5:80" -m statistic --mode random --probability 0.5000000000 -j KUBE-SEP-C6EBXVWJJZMIWKLZ',
        f'10.180.0.6:80" -j {list(rules.chains)[3]}',
    ]


@pytest.mark.parametrize(("count", "text"), [(2, "0.5000000000"), (3, "0.3333333333"), (7, "0.1428571429")])
def test_probability_has_ten_digits(count: int, text: str) -> None:
    assert probability(count) == text


def test_internal_policy_local_without_local_endpoint_drops(service: Make, endpoint_slice: Make) -> None:
    rules = rules_of(
        service("ns1", "svc1", "172.30.0.41", internalTrafficPolicy="Local"),
        endpoint_slice("ns1", "svc1", ("10.180.0.1", {"nodeName": "node-2"})),
    )
    assert rules.filter_services == [
        '-A KUBE-SERVICES -m comment --comment "ns1/svc1:p80 has no local endpoints" -m tcp -p tcp -d 172.30.0.41 '
        "--dport 80 -j DROP"
    ]
    assert not rules.chains


def test_internal_policy_local_uses_the_local_chain(service: Make, endpoint_slice: Make) -> None:
    rules = rules_of(
        service("ns1", "svc1", "172.30.0.41", internalTrafficPolicy="Local"),
        endpoint_slice("ns1", "svc1", ("10.180.0.1", {"nodeName": NODE}), ("10.180.0.2", {"nodeName": "node-2"})),
    )
    assert list(rules.chains) == ["KUBE-SVL-XPGD46QRK7WJZT7O", "KUBE-SEP-SXIVWICOYRO3J4NJ"]
    assert rules.nat_services[0].endswith("-j KUBE-SVL-XPGD46QRK7WJZT7O")
    assert "! -s 10.44.0.0/14 -j KUBE-MARK-MASQ" in rules.chains["KUBE-SVL-XPGD46QRK7WJZT7O"][0]


@pytest.mark.parametrize("protocol", ["UDP", "SCTP"])
def test_other_protocols_are_matched_by_their_own_name(service: Make, endpoint_slice: Make, protocol: str) -> None:
    ports: list[dict[str, Any]] = [{"name": "p80", "port": 80, "protocol": protocol}]
    rules = rules_of(
        service("ns1", "svc1", "172.30.0.41", ports=ports), endpoint_slice("ns1", "svc1", "10.180.0.1", ports=ports)
    )
    lower = protocol.lower()
    assert f"-m {lower} -p {lower} -d 172.30.0.41" in rules.nat_services[0]
    assert any(f"-m {lower} -p {lower} -j DNAT" in line for line in lines_of(rules))


def test_large_cluster_drops_the_comments_per_endpoint(service: Make, endpoint_slice: Make) -> None:
    style = Style(STYLE.local_traffic, comments=False)
    rules = rules_of(service("ns1", "svc1", "172.30.0.41"), endpoint_slice("ns1", "svc1", "10.180.0.1"), style=style)
    assert rules.chains["KUBE-SVC-XPGD46QRK7WJZT7O"][1] == ("-A KUBE-SVC-XPGD46QRK7WJZT7O -j KUBE-SEP-SXIVWICOYRO3J4NJ")
    assert not any("comment" in line for line in rules.chains["KUBE-SEP-SXIVWICOYRO3J4NJ"])
    assert "cluster IP" in rules.nat_services[0]


def test_counted_node_ports_on_localhost_come_first(service: Make, endpoint_slice: Make) -> None:
    rules = rules_of(
        service("ns3", "svc3", "172.30.0.43", type="NodePort", ports=[{"name": "p80", "port": 80, "nodePort": 3003}]),
        endpoint_slice("ns3", "svc3", "10.180.0.3"),
        style=Style(STYLE.local_traffic, nfacct=True),
    )
    assert rules.nat_nodeports == [
        "-A KUBE-NODEPORTS -m comment --comment ns3/svc3:p80 -m tcp -p tcp -d 127.0.0.0/8 --dport 3003 "
        "-m nfacct --nfacct-name localhost_nps_accepted_pkts -j KUBE-EXT-X27LE4BHSL4DOUIK",
        "-A KUBE-NODEPORTS -m comment --comment ns3/svc3:p80 -m tcp -p tcp --dport 3003 -j KUBE-EXT-X27LE4BHSL4DOUIK",
    ]


def test_masquerade_all_marks_without_condition(service: Make, endpoint_slice: Make) -> None:
    rules = rules_of(
        service("ns1", "svc1", "172.30.0.41"),
        endpoint_slice("ns1", "svc1", "10.180.0.1"),
        style=Style(STYLE.local_traffic, masquerade_all=True),
    )
    assert rules.chains["KUBE-SVC-XPGD46QRK7WJZT7O"][0].endswith("--dport 80 -j KUBE-MARK-MASQ")
