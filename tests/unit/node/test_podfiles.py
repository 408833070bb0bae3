from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from controlplane.node.config import NodeConfig
from controlplane.node.podfiles import Dns, hosts, resolv_conf
from controlplane.node.sandbox import Sandbox

CONFIG = NodeConfig(
    name="node-1",
    cluster="unit",
    address="10.128.0.11",
    pod_cidr="10.44.1.0/24",
    namespace=Path("/run/netns/none"),
    state_directory=Path("/none"),
    run_directory=Path("/none"),
    dns_address="10.48.0.10",
)
HOST = Dns(["192.0.2.53"], ["corp.example"], ["timeout:1"])
SANDBOX = Sandbox("id", "uid", "shop", "web", "ns", "web", "/none", 0.0, ("10.44.1.2",))


def _pod(**spec: object) -> dict[str, object]:
    return {"metadata": {"name": "web", "namespace": "shop"}, "spec": spec}


def test_cluster_first_puts_the_cluster_before_the_host() -> None:
    assert resolv_conf(_pod(), CONFIG, HOST).text() == (
        "search shop.svc.cluster.local svc.cluster.local cluster.local corp.example\n"
        "nameserver 10.48.0.10\n"
        "options ndots:5\n"
    )


def test_without_a_cluster_dns_the_hosts_servers_are_used() -> None:
    assert resolv_conf(_pod(), replace(CONFIG, dns_address=""), HOST).nameservers == ["192.0.2.53"]


def test_policies_and_config() -> None:
    assert resolv_conf(_pod(dnsPolicy="Default"), CONFIG, HOST).nameservers == ["192.0.2.53"]
    assert resolv_conf(_pod(hostNetwork=True), CONFIG, HOST).nameservers == ["192.0.2.53"]
    both = _pod(hostNetwork=True, dnsPolicy="ClusterFirstWithHostNet")
    assert resolv_conf(both, CONFIG, HOST).nameservers == ["10.48.0.10"]
    extra = {"nameservers": ["1.2.3.4"], "searches": ["x"], "options": [{"name": "ndots", "value": "2"}, {"name": "a"}]}
    none = resolv_conf(_pod(dnsPolicy="None", dnsConfig=extra), CONFIG, HOST)
    assert none.text() == "search x\nnameserver 1.2.3.4\noptions ndots:2 a\n"
    assert resolv_conf(_pod(dnsConfig=extra), CONFIG, HOST).options == ["ndots:2", "a"]


def test_hosts_names_the_pod_and_its_aliases() -> None:
    text = hosts(
        _pod(subdomain="db", hostAliases=[{"ip": "1.2.3.4", "hostnames": ["a", "b"]}]), SANDBOX, "cluster.local"
    )
    assert text.startswith("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n")
    assert "10.44.1.2\tweb.db.shop.svc.cluster.local\tweb\n" in text
    assert text.endswith("# Entries added by HostAliases.\n1.2.3.4\ta\tb\n")
