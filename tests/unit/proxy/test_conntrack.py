"""Which tracked UDP connections are stale, from what the conntrack program prints."""

from controlplane.proxy import conntrack
from controlplane.proxy.conntrack import Way

LISTING = """\
udp      17 27 src=10.44.1.5 dst=10.48.0.10 sport=40000 dport=53 src=10.44.2.2 dst=10.44.1.5 sport=53 dport=40000 \
mark=0 use=1
udp      17 27 src=10.44.1.5 dst=10.48.0.10 sport=40001 dport=53 [UNREPLIED] src=10.44.2.3 dst=10.44.1.5 sport=53 \
dport=40001 mark=0 use=1
udp      17 27 src=192.0.2.1 dst=10.128.0.11 sport=5 dport=30053 src=10.44.2.3 dst=10.128.0.11 sport=53 dport=6 use=1
udp      17 27 src=10.44.1.5 dst=8.8.8.8 sport=7 dport=53 src=8.8.8.8 dst=10.128.0.11 sport=53 dport=7 mark=0 use=1
udp      17 9 src=10.44.1.6 dst=10.48.0.10 sport=40009 dport=53 src=10.44.2.3 dst=10.44.1.6 sport=53 dport=40009 use=1
"""


def test_many_clients_of_one_way_are_one() -> None:
    ways = conntrack.parse(LISTING)
    assert len(ways) == 4
    assert len(conntrack.parse(LISTING + LISTING)) == 4


def test_only_ways_of_a_front_end_that_lead_elsewhere_are_stale() -> None:
    wanted = {
        ("10.48.0.10", 53): frozenset({("10.44.2.2", 53)}),
        ("", 30053): frozenset({("10.44.2.2", 53)}),
    }
    found = conntrack.stale(conntrack.parse(LISTING), wanted)
    assert found == [Way("10.48.0.10", 53, "10.44.2.3", 53), Way("10.128.0.11", 30053, "10.44.2.3", 53)]


def test_connections_of_nobodys_front_end_are_left_alone() -> None:
    assert conntrack.stale(conntrack.parse(LISTING), {}) == []
