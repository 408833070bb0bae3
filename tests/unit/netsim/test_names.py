import pytest

from netsim.names import digest, hardware_address, hardware_address_of, link_name


@pytest.mark.parametrize("readable", ["v", "veth", "a-very-long-readable-part", "odd/char:s", ""])
def test_link_names_fit_and_the_kernel_takes_them(readable: str) -> None:
    name = link_name(readable, "prod", "web-1")
    assert 0 < len(name) <= 15
    assert not set(name) & set("/: ")


def test_parts_are_kept_apart() -> None:
    names = {link_name("veth", *parts) for parts in (("a", "b"), ("ab",), ("a", "b", ""), ("b", "a"))}
    assert len(names) == 4
    assert link_name("veth", "a", "b") in names


def test_ten_thousand_hashes_do_not_meet() -> None:
    assert len({digest("pod", str(number)) for number in range(10_000)}) == 10_000


def test_hardware_addresses_are_unicast_and_local() -> None:
    first = int(hardware_address("x").split(":")[0], 16)
    assert first & 0b11 == 0b10
    assert hardware_address_of("10.44.1.255") == "0a:58:0a:2c:01:ff"
