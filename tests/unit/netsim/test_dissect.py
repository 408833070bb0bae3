"""Frames in words, judged by frames that scapy makes."""

from __future__ import annotations

import pytest
from scapy.layers.dns import DNS, DNSQR, DNSRR
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Packet, Raw

from netsim.capture import Endpoints, FlowPairs, dissect

A, B, C = "10.0.0.1", "10.0.0.2", "10.48.0.5"


def frame(*layers: Packet) -> bytes:
    built: Packet = Ether(src="0a:58:0a:00:00:01", dst="0a:58:0a:00:00:02")
    for layer in layers:
        built = built / layer
    return bytes(built)


@pytest.mark.parametrize(
    ("layers", "protocol", "info"),
    [
        ([IP(src=A, dst=B), TCP(sport=1, dport=2, flags="S", seq=7)], "TCP", "[S] seq 7, ack 0, win 8192, length 0"),
        ([IP(src=A, dst=B), TCP(flags="PA"), Raw(b"abc")], "TCP", "[P.] seq 0, ack 0, win 8192, length 3"),
        ([IP(src=A, dst=B), UDP(sport=1, dport=2), Raw(b"abcd")], "UDP", "length 4"),
        ([IP(src=A, dst=B), ICMP(id=5, seq=6)], "ICMP", "echo request, id 5, seq 6"),
        ([IP(src=A, dst=B, flags="MF"), ICMP(seq=6)], "ICMP", "echo request, id 0, seq 6, more fragments follow"),
        ([IP(src=A, dst=B, frag=185), Raw(b"x" * 8)], "IPv4", "fragment of 1 at 1480, 8 bytes"),
        ([ARP(op=1, psrc=A, pdst=B)], "ARP", f"who has {B}? tell {A}"),
        ([ARP(op=2, psrc=A, hwsrc="0a:58:0a:00:00:01", pdst=B)], "ARP", f"{A} is at 0a:58:0a:00:00:01"),
        ([Dot1Q(vlan=5), IP(src=A, dst=B), UDP(), DNS(qd=DNSQR(qname="web.default"))], "DNS", "query web.default. A"),
        (
            [
                IP(src=A, dst=B),
                UDP(sport=53),
                DNS(qr=1, qd=DNSQR(qname="web"), an=DNSRR(rrname="web", rdata="10.0.0.9")),
            ],
            "DNS",
            "answer web. A: 10.0.0.9",
        ),
        ([IP(src=A, dst=B), UDP(sport=53), DNS(qr=1, rcode=3, qd=DNSQR(qname="no"))], "DNS", "answer no. A: NXDOMAIN"),
        (
            [IP(src=B, dst=A), ICMP(type=3, code=4, nexthopmtu=1300), IP(src=A, dst=B), TCP(dport=80)],
            "ICMP",
            f"too big, fragmentation needed, mtu 1300, of TCP to {B}:80",
        ),
        ([IPv6(src="fe80::1", dst="ff02::2")], "IPv6", "next header 59"),
    ],
)
def test_a_frame_in_words(layers: list[Packet], protocol: str, info: str) -> None:
    told = dissect(frame(*layers))
    assert (told.protocol, told.info) == (protocol, info)


def test_endpoints_and_what_vxlan_carries() -> None:
    inner = Ether() / IP(src=A, dst=B) / TCP(sport=40000, dport=80)
    told = dissect(frame(IP(src="10.128.0.11", dst="10.128.0.12"), UDP(dport=8472), VXLAN(vni=9), inner))
    assert (told.protocol, told.info) == ("VXLAN", "vni 9")
    assert told.inner is not None
    assert told.inner.endpoints == Endpoints("TCP", A, 40000, B, 80)


@pytest.mark.parametrize("size", range(0, 60, 7))
def test_a_frame_that_was_cut_is_told_and_never_fails(size: int) -> None:
    whole = frame(IP(src=A, dst=B), TCP())
    assert dissect(whole[:size]).protocol in ("?", "TCP", "IPv4")


def test_both_halves_of_a_translated_connection_are_one() -> None:
    pairs = FlowPairs()
    ask, asked = Endpoints("TCP", A, 4000, C, 80), Endpoints("TCP", A, 4000, B, 8080)
    packets = [
        (IP(src=A, dst=C, id=9) / TCP(sport=4000, dport=80, seq=5, flags="S"), 1),
        (IP(src=A, dst=B, id=9) / TCP(sport=4000, dport=8080, seq=5, flags="S"), 1),
        (IP(src=B, dst=A, id=3) / TCP(sport=8080, dport=4000, seq=70, ack=6, flags="SA"), 1),
        (IP(src=C, dst=A, id=3) / TCP(sport=80, dport=4000, seq=70, ack=6, flags="SA"), 1),
        (IP(src=A, dst=B, id=44) / TCP(sport=4001, dport=8080, seq=5, flags="S"), 2),
    ]
    for packet, flow in packets:
        assert pairs.take(dissect(frame(packet)), 10**9) == flow
    assert pairs.translations(ask) == [asked]
    assert pairs.translations(asked.reply) == [ask.reply]
    assert pairs.translations(Endpoints("TCP", A, 4001, B, 8080)) == []


@pytest.mark.parametrize("layer", [TCP(sport=1, dport=2, flags="PA"), UDP(sport=1, dport=2), ICMP(seq=6)])
def test_a_packet_is_known_again_where_more_of_it_was_cut_off(layer: Packet) -> None:
    plain = frame(IP(src=A, dst=B, id=9), layer, Raw(bytes(range(250)) * 4))
    carried = frame(IP(src=C, dst=C), UDP(dport=8472), VXLAN(vni=1), Raw(plain))
    inner = dissect(carried[:256]).inner
    assert inner is not None
    assert inner == dissect(plain[:256]) == dissect(plain)


def test_two_pings_alike_are_two() -> None:
    """As programs send them that leave the IP identification 0; what an echo carries tells them apart."""
    pairs = FlowPairs()
    for flow, (source, sent) in enumerate(((A, b"one"), (B, b"two")), start=1):
        echo = IP(src=source, dst=C, id=0, flags="DF") / ICMP(id=flow, seq=1) / Raw(sent)
        assert pairs.take(dissect(frame(echo)), 10**9) == flow


def test_the_same_packet_much_later_is_another_one() -> None:
    pairs = FlowPairs()
    first, later = (dissect(frame(IP(src=A, dst=to, id=9) / UDP(dport=7))) for to in (C, B))
    assert pairs.take(first, 0) == 1
    assert pairs.take(later, 5 * 10**9) == 2
