"""Addresses and ports: never twice, and free again when nobody holds them."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.server.allocators import Addresses, Full, Ports

SMALL = IPv4Network("10.0.0.0/28")


def test_every_address_of_a_range_is_given_once() -> None:
    addresses = Addresses(SMALL)
    given_out = set()
    for number in range(13):
        address = addresses.choose()
        assert addresses.contains(address)
        assert address not in given_out
        given_out.add(address)
        addresses.hold(number, [address])
    with pytest.raises(Full):
        addresses.choose()
    addresses.hold(5, [])
    assert addresses.choose() in given_out


@pytest.mark.parametrize("address", ["10.0.0.0", "10.0.0.15", "10.0.0.16", "9.9.9.9"])
def test_addresses_that_are_not_of_the_range(address: str) -> None:
    assert not Addresses(SMALL).contains(address)


def test_a_port_is_free_in_every_protocol_asked_for() -> None:
    ports = Ports(30000, 30003)
    ports.hold("a", [("TCP", 30000), ("UDP", 30001)])
    assert ports.choose(("TCP", "UDP"), used={30002}) == 30003
    with pytest.raises(Full):
        ports.choose(("TCP", "UDP"), used={30002, 30003})


@given(st.lists(st.tuples(st.integers(0, 4), st.sets(st.integers(0, 9), max_size=4)), max_size=30))
def test_an_item_has_one_holder_and_only_while_it_is_held(steps: list[tuple[int, set[int]]]) -> None:
    ports = Ports(1, 10)
    held: dict[int, set[int]] = {}
    for owner, wanted in steps:
        others = {item for other, items in held.items() if other != owner for item in items}
        held[owner] = wanted - others
        ports.hold(owner, [("TCP", item) for item in wanted])
    for item in range(10):
        owners = [owner for owner, items in held.items() if item in items]
        assert [ports.owner(("TCP", item))] == (owners or [None])
