"""What is written for a change: only the chains that differ, and chains that go after those that refer to them."""

from __future__ import annotations

from collections.abc import Callable

from controlplane.api.types import Object
from controlplane.proxy import restore
from controlplane.proxy.endpoints import choose
from controlplane.proxy.model import read_endpoints, read_service
from controlplane.proxy.rules import LocalTraffic, PortRules, Style, port_rules
from controlplane.proxy.ruleset import NodeRules, build, jumps

Make = Callable[..., Object]
NODE = NodeRules(non_masquerade=("10.128.0.0/20", "10.44.0.0/14"))


def rules_of(service: Object, *slices: Object) -> PortRules:
    (port,) = read_service(service)
    chosen = choose(port, read_endpoints(slices).get(port.key, ()), "node-1", "")
    return port_rules(port, chosen, Style(LocalTraffic.by_cidr("10.44.0.0/14")), "10.128.0.11")


def test_nothing_changed_is_nothing_to_write(service: Make, endpoint_slice: Make) -> None:
    rules = rules_of(service("ns1", "svc1", "10.48.0.41"), endpoint_slice("ns1", "svc1", "10.44.1.2"))
    assert restore.changes(build(NODE, [rules]), build(NODE, [rules])) == ""


def test_another_endpoint_touches_only_its_services_chains(service: Make, endpoint_slice: Make) -> None:
    svc1, svc2 = service("ns1", "svc1", "10.48.0.41"), service("ns2", "svc2", "10.48.0.42")
    other = rules_of(svc2, endpoint_slice("ns2", "svc2", "10.44.1.9"))
    before = build(NODE, [rules_of(svc1, endpoint_slice("ns1", "svc1", "10.44.1.2")), other])
    after = build(NODE, [rules_of(svc1, endpoint_slice("ns1", "svc1", "10.44.1.3")), other])
    lines = restore.changes(before, after).splitlines()
    written = [line.split()[0][1:] for line in lines if line.startswith(":")]
    (old_chain,) = set(before["nat"]) - set(after["nat"])
    (new_chain,) = set(after["nat"]) - set(before["nat"])
    assert written == sorted(["KUBE-SVC-XPGD46QRK7WJZT7O", new_chain, old_chain])
    assert lines[-2:] == [f"-X {old_chain}", "COMMIT"]
    assert "*filter" not in lines


def test_last_endpoint_gone_moves_the_service_to_the_filter_table(service: Make, endpoint_slice: Make) -> None:
    svc1 = service("ns1", "svc1", "10.48.0.41")
    before = build(NODE, [rules_of(svc1, endpoint_slice("ns1", "svc1", "10.44.1.2"))])
    text = restore.changes(before, build(NODE, [rules_of(svc1)]))
    filter_part, nat_part = text.split("COMMIT\n")[:2]
    assert "ns1/svc1:p80 has no endpoints" in filter_part
    assert nat_part.count("-X KUBE-S") == 2


def test_full_text_adopts_deletes_stale_chains_and_adds_missing_jumps(service: Make, endpoint_slice: Make) -> None:
    wanted = build(NODE, [rules_of(service("ns1", "svc1", "10.48.0.41"), endpoint_slice("ns1", "svc1", "10.44.1.2"))])
    saved = (
        "*nat\n:PREROUTING ACCEPT [0:0]\n:KUBE-SVC-GONE - [0:0]\n:SOMEBODY - [0:0]\n"
        '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES\nCOMMIT\n'
    )
    missing = restore.missing_jumps(saved, jumps(NODE))
    assert not any(jump.chain == "PREROUTING" for jump in missing)
    text = restore.full(wanted, restore.parse_chains(saved), missing)
    nat = text[text.index("*nat") :]
    assert "-X KUBE-SVC-GONE" in nat
    assert "SOMEBODY" not in text
    assert '-I OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES' in nat
    assert "custom IP-MASQ chain" in nat.split("-A POSTROUTING")[1]
    assert "-I INPUT -j KUBE-FIREWALL" in text


def test_node_ports_come_last_of_all_services(service: Make, endpoint_slice: Make) -> None:
    wanted = build(NODE, [rules_of(service("ns1", "svc1", "10.48.0.41"), endpoint_slice("ns1", "svc1", "10.44.1.2"))])
    assert wanted["nat"]["KUBE-SERVICES"][-1] == (
        '-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this '
        'chain" -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS'
    )


def test_canary_is_missed_in_any_table() -> None:
    saved = "".join(f"*{table}\n:KUBE-PROXY-CANARY - [0:0]\nCOMMIT\n" for table in ("mangle", "filter", "nat"))
    assert restore.has_canary(saved)
    assert not restore.has_canary(saved.replace("*nat\n:KUBE-PROXY-CANARY - [0:0]\n", "*nat\n"))
