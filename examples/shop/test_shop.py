"""The shop's networking: who reaches whom, and by which packets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench.testing import (
    Captured,
    Cluster,
    CommandRefused,
    assert_dropped_by,
    assert_packets,
    assert_reachable,
    assert_unreachable,
)


@pytest.fixture
def shop(netsim_cluster: Cluster, namespace: str) -> str:
    """The manifests, running in a namespace of the test's own; the Service answers."""
    netsim_cluster.apply(Path(__file__).with_name("shop.yaml"), namespace)
    netsim_cluster.wait("deployment/web", "Available", namespace)
    netsim_cluster.wait("pod", "Ready", namespace)
    assert_reachable(netsim_cluster, "pod/visitor", "service/web:80", namespace=namespace)
    return namespace


def test_visitors_reach_the_shop_by_its_name(netsim_cluster: Cluster, shop: str) -> None:
    assert "web" in netsim_cluster.pod("visitor", shop).run("wget", "-qO-", "-T", "5", "http://web/")


def test_only_the_shop_reaches_the_database(netsim_cluster: Cluster, shop: str) -> None:
    assert_reachable(netsim_cluster, "deploy/web", "pod/db:5432", namespace=shop)
    assert_unreachable(netsim_cluster, "pod/visitor", "pod/db:5432", namespace=shop)
    assert_dropped_by(netsim_cluster, "pod/visitor", "pod/db:5432", "only-web-asks-the-database", namespace=shop)


def test_an_answer_comes_from_the_address_that_was_asked(netsim_cluster: Cluster, shop: str, tmp_path: Path) -> None:
    with netsim_cluster.capture(["pod/visitor"], tmp_path / "shop.pcapng", namespace=shop) as captured:
        assert_reachable(netsim_cluster, "pod/visitor", "service/web:80", namespace=shop)
    assert_packets(captured, "tcp[tcpflags] & tcp-syn != 0", 2)
    service = netsim_cluster.json("-n", shop, "get", "service", "web")["spec"]["clusterIP"]
    assert_packets(captured, f"tcp and src host {service}", range(1, 10))


def test_a_crafted_syn_to_a_closed_port_is_reset(netsim_cluster: Cluster, shop: str) -> None:
    from scapy.layers.inet import IP, TCP

    web = netsim_cluster.json("-n", shop, "get", "pods", "-l", "app=web")["items"][0]["status"]["podIP"]
    answer = netsim_cluster.pod("visitor", shop).sr1(IP(dst=web) / TCP(dport=81, flags="S"))
    assert answer is not None
    assert answer[TCP].flags == "RA"


def test_what_a_capture_holds_is_kept_when_a_test_fails(
    netsim_cluster: Cluster, shop: str, capture: Callable[..., Captured], kubectl: Callable[..., str]
) -> None:
    capture("pod/visitor", namespace=shop)
    assert_reachable(netsim_cluster, "pod/visitor", "service/web:80", namespace=shop)
    assert "visitor" in kubectl("-n", shop, "get", "pods")


def test_the_database_can_be_out_of_reach(
    netsim_cluster: Cluster, shop: str, fault: Callable[..., dict[str, Any]]
) -> None:
    made = fault("partition", "deploy/web", "pod/db", namespace=shop)
    assert_dropped_by(netsim_cluster, "deploy/web", "pod/db:5432", made["metadata"]["name"], namespace=shop)
    with (
        netsim_cluster.fault("dns-failure", "pod/visitor", dns_name=["web"], namespace=shop),
        pytest.raises(CommandRefused),
    ):
        netsim_cluster.pod("visitor", shop).run("timeout", "1", "nslookup", f"web.{shop}.svc.cluster.local")
