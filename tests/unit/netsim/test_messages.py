"""Requests as bytes, beside those that an independent encoder (pyroute2 0.9.7) made of the same."""

from __future__ import annotations

import pytest

from netsim import address, link, messages, neighbour, route, vlan
from netsim.netlink import Request
from netsim.route import Route, RouteType

MAC, PEER_MAC = "02:11:22:33:44:55", "0a:58:0a:2c:01:02"
GATEWAYS = ("10.128.0.12", "10.128.0.11")


@pytest.mark.parametrize(
    ("request_", "encoded"),
    [
        (
            link.new_bridge("cbr0", address=MAC, mtu=1460),
            "6400000010000006000000000000000000000000000000000000000000000000240012000b0001006272696467650000"
            "14000200080001000000000008000500000000000900030063627230000000000a000100021122334455000008000400"
            "b4050000",
        ),
        (
            link.new_veth("veth1234", "eth0", mtu=1460, peer_netns=7, address=MAC, peer_address=PEER_MAC, master=3),
            "9c0000001000000600000000000000000000000000000000000000000000000050001200090001007665746800000000"
            "400002003c0001000000000000000000000000000000000009000300657468300000000008000400b40500000a000100"
            "0a580a2c0102000008001c00070000000d00030076657468313233340000000008000400b40500000a00010002112233"
            "4455000008000a0003000000",
        ),
        (
            link.new_vxlan("flannel.1", vni=1, port=8472, local="10.128.0.11", below=3),
            "6c000000100000060000000000000000000000000000000000000000000000003c0012000a00010076786c616e000000"
            "2c000200080001000100000006000f00211800000500070000000000080004000a80000b08000300030000000e000300"
            "666c616e6e656c2e31000000",
        ),
        (
            link.change("eth0", up=True, alias="netsim:role=pod", mtu=1400, queue_length=10, promiscuous=False),
            "500000001000000000000000000000000000000000000000010000000101000009000300657468300000000014001400"
            "6e657473696d3a726f6c653d706f6400080004007805000008000d000a000000",
        ),
        (
            link.bridge_port("veth1234", hairpin=True, isolated=False),
            "64000000100000000000000000000000000000000000000001000000010000000d000300766574683132333400000000"
            "10001a000c000a000500080001000000240012000b000400627269646765000014000500050004000100000005002100"
            "00000000",
        ),
        (
            vlan.filtering("cbr0", True),
            "48000000100000000000000000000000000000000000000000000000000000000900030063627230000000001c001200"
            "0b00010062726964676500000c0002000500070001000000",
        ),
        (
            vlan.trunk(4, 5, 9),
            "340000001300000000000000000000000700000004000000000000000000000014001a0008000200080005000800020010000900",
        ),
        (
            address.new_address(3, "10.44.1.2/24"),
            "300000001400000600000000000000000218000003000000080002000a2c0102080001000a2c0102080004000a2c01ff",
        ),
        (
            address.new_address(3, "10.44.1.2/32", replace=True, prefix_route=False),
            "300000001400000500000000000000000220000003000000080002000a2c0102080001000a2c01020800080000020000",
        ),
        (
            route.new_route(Route("10.44.1.0/24", gateways=GATEWAYS[:1], index=3, onlink=True, metric=100)),
            "3c00000018000006000000000000000002180000fe4e000104000000080001000a2c0100080005000a80000c08000400"
            "030000000800060064000000",
        ),
        (
            route.new_route(Route("203.0.113.1/32", gateways=GATEWAYS, index=2, onlink=True), replace=True),
            "4800000018000005000000000000000002200000fe4e00010000000008000100cb007101240009001000040002000000"
            "080005000a80000b1000040002000000080005000a80000c",
        ),
        (
            route.removal(Route("10.1.0.0/16", index=3, source="10.1.0.1", table=1000)),
            "3c00000019000000000000000000000002100000004eff0100000000080001000a010000080004000300000008000700"
            "0a01000108000f00e8030000",
        ),
        (
            route.new_route(Route("10.0.0.0/8", type=RouteType.UNREACHABLE)),
            "2400000018000006000000000000000002080000fe4e000700000000080001000a000000",
        ),
        (
            neighbour._encode(28, 0x500, 3, neighbour.forwarding(PEER_MAC, GATEWAYS[0])),
            "300000001c0000050000000000000000070000000300000080000200080001000a80000c0a0002000a580a2c01020000",
        ),
    ],
    ids=lambda value: value.what if isinstance(value, Request) else "",
)
def test_requests_are_the_bytes_that_the_kernel_reads(request_: Request, encoded: str) -> None:
    assert request_.message.hex() == encoded


def test_a_hole_is_as_long_as_what_fills_it_and_short_names_have_none() -> None:
    assert len(messages.name_hole("vethabc")) == 7
    assert messages.name_hole("lo") == "lo"
    hole = messages.name_hole("eth0").encode()
    assert messages.filled(b"a" + hole + b"b" + hole, (hole, b"eth0")) == b"aeth0beth0"
