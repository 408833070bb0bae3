"""Names in capture filters become addresses, with what stands before them as tcpdump reads it."""

from __future__ import annotations

import pytest

from controlplane.config import ClusterConfig
from controlplane.config.resolve import resolve
from netsim.capture import compile_filter
from workbench.places import NoSuchPlace, Selection, with_names

CLUSTER = resolve(ClusterConfig(), taken=[], port_owner=lambda _address, _port: None)
A, B = {"status": {"podIP": "10.44.1.2"}}, {"status": {"podIP": "10.44.2.2"}}
PLACES = {
    "pod/a": Selection("pod/a", (A,)),
    "pod/b": Selection("pod/b", (B,)),
    "shop/deploy/web": Selection("shop/deploy/web", (A, B)),
    "service/web": Selection("service/web", (A,), service={"spec": {"clusterIPs": ["10.48.0.9"]}}),
    "service/empty": Selection("service/empty", service={"spec": {"clusterIPs": ["None"]}}),
    "node/node-1": Selection("node/node-1", nodes=("node-1",)),
    "subnet/default": Selection("subnet/default", nodes=("node-1", "node-2")),
    "policy/deny": Selection("policy/deny", (B,)),
}


def select(text: str) -> Selection:
    if text not in PLACES:
        raise NoSuchPlace(f"there is no {text}")
    return PLACES[text]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("host pod/a and port 80", "host 10.44.1.2 and port 80"),
        ("pod/a", "host 10.44.1.2"),
        ("host shop/deploy/web", "host 10.44.1.2 or host 10.44.2.2"),
        ("tcp and dst service/web", "tcp and (dst host 10.44.1.2 or dst host 10.48.0.9)"),
        ("host node/node-1", "host 10.128.0.11"),
        ("net subnet/default", "net 10.128.0.0/20"),
        ("not src net subnet/default", "not src net 10.128.0.0/20"),
        ("port 80 and not policy/deny", "port 80 and not host 10.44.2.2"),
        ("ip host pod/a", "ip host 10.44.1.2"),
        ("arp host shop/deploy/web", "arp host 10.44.1.2 or arp host 10.44.2.2"),
        ("src or dst host pod/a", "src or dst host 10.44.1.2"),
        ("(host pod/a)||host pod/b&&tcp", "host 10.44.1.2 or host 10.44.2.2 and tcp"),
        ("!host pod/a", "not host 10.44.1.2"),
        ("src pod/a or pod/b", "src host 10.44.1.2 or src host 10.44.2.2"),
        ("src pod/a or not pod/b", "src host 10.44.1.2 or not src host 10.44.2.2"),
        ("src host 10.44.1.2 or pod/b", "src host 10.44.1.2 or src host 10.44.2.2"),
        ("src pod/a or 10.44.2.2 or 10.9.0.0/16", "src host 10.44.1.2 or src host 10.44.2.2 or src net 10.9.0.0/16"),
        ("dst pod/a or src pod/b", "dst host 10.44.1.2 or src host 10.44.2.2"),
        ("dst pod/a and port 80 and pod/b", "dst host 10.44.1.2 and port 80 and host 10.44.2.2"),
        ("net 10.44.0.0/16 and host pod/a", "net 10.44.0.0/16 and host 10.44.1.2"),
        ("tcp[tcpflags] & tcp-syn != 0 and src pod/a", "tcp[tcpflags] & tcp-syn != 0 and src host 10.44.1.2"),
        ("host 10.44.1.2 or 10.44.2.2", "host 10.44.1.2 or 10.44.2.2"),
        ("", ""),
    ],
)
def test_a_name_means_its_addresses(said: str, meant: str) -> None:
    assert compile_filter(with_names(said, select, CLUSTER)) == compile_filter(meant)


@pytest.mark.parametrize(
    ("said", "why"),
    [("host pod/none", "there is no pod/none"), ("service/empty", "service/empty has no address at this moment")],
)
def test_a_name_that_means_nothing_is_refused(said: str, why: str) -> None:
    with pytest.raises(NoSuchPlace, match=why):
        with_names(said, select, CLUSTER)
