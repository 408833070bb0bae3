import multiprocessing
import os
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cni.errors import CniError, Code
from cni.ipam import AddressStore, Range

ROOT = Path(__file__).parents[3]


def range_of(subnet: str) -> Range:
    network = IPv4Network(subnet)
    return Range(network, network[1], network[-2], network[1])


SMALL = [range_of("10.44.1.0/28")]


@pytest.fixture
def store(tmp_path: Path) -> AddressStore:
    made = AddressStore(tmp_path / "net")
    made.ensure()
    return made


def test_addresses_come_in_order_and_never_the_gateway(store: AddressStore) -> None:
    given_out = [str(store.reserve((f"c{number}", "eth0"), SMALL)[0]) for number in range(13)]
    assert given_out == [f"10.44.1.{number}" for number in range(2, 15)]
    with pytest.raises(CniError, match="no IP addresses available") as caught:
        store.reserve(("one-more", "eth0"), SMALL)
    assert caught.value.code == Code.NO_ADDRESS_LEFT


def test_who_asks_again_gets_the_same(store: AddressStore) -> None:
    first = store.reserve(("c1", "eth0"), SMALL)[0]
    store.reserve(("c2", "eth0"), SMALL)
    assert store.reserve(("c1", "eth0"), SMALL)[0] == first
    assert store.reserve(("c1", "eth1"), SMALL)[0] != first


def test_a_freed_address_rests_as_long_as_possible(store: AddressStore) -> None:
    store.reserve(("c1", "eth0"), SMALL)
    assert store.release(("c1", "eth0")) == [IPv4Address("10.44.1.2")]
    later = [str(store.reserve((f"d{number}", "eth0"), SMALL)[0]) for number in range(13)]
    assert later[0] == "10.44.1.3"
    assert later[-1] == "10.44.1.2"


def test_releasing_twice_or_nothing_is_no_error(store: AddressStore, tmp_path: Path) -> None:
    store.reserve(("c1", "eth0"), SMALL)
    assert store.release(("c1", "eth0"))
    assert not store.release(("c1", "eth0"))
    assert AddressStore(tmp_path / "never-made").release(("c1", "eth0")) == []


def test_a_requested_address_is_given_or_refused(store: AddressStore) -> None:
    wanted = IPv4Address("10.44.1.9")
    assert store.reserve(("c1", "eth0"), SMALL, wanted=wanted)[0] == wanted
    with pytest.raises(CniError, match=r"10\.44\.1\.9 is not available"):
        store.reserve(("c2", "eth0"), SMALL, wanted=wanted)


def test_several_ranges_are_used_up_one_after_the_other(store: AddressStore) -> None:
    ranges = [range_of("10.1.0.0/30"), range_of("10.2.0.0/29")]
    given_out = [str(store.reserve((f"c{number}", "eth0"), ranges)[0]) for number in range(6)]
    assert given_out == ["10.1.0.2", *(f"10.2.0.{number}" for number in range(2, 7))]


def test_what_another_host_local_wrote_is_respected_and_freed(store: AddressStore, tmp_path: Path) -> None:
    (tmp_path / "net" / "10.44.1.2").write_text("theirs\r\neth0")
    (tmp_path / "net" / "lock").touch()
    assert str(store.reserve(("ours", "eth0"), SMALL)[0]) == "10.44.1.3"
    assert store.holds(("theirs", "eth0"))
    assert store.release(("theirs", "eth0")) == [IPv4Address("10.44.1.2")]


@pytest.mark.parametrize("hint", ["", "garbage", "10.99.0.1"])
def test_a_torn_hint_does_no_harm(store: AddressStore, tmp_path: Path, hint: str) -> None:
    (tmp_path / "net" / "last_reserved_ip.0").write_text(hint)
    assert str(store.reserve(("c1", "eth0"), SMALL)[0]) == "10.44.1.2"


def test_a_kill_between_link_and_address_loses_nothing(store: AddressStore, tmp_path: Path) -> None:
    os.symlink("10.44.1.2", tmp_path / "net" / "owners" / "c1:eth0:0")
    assert str(store.reserve(("c2", "eth0"), SMALL)[0]) == "10.44.1.2"
    assert store.release(("c1", "eth0")) == [], "what it says is another's"
    assert store.holds(("c2", "eth0"))


def test_keeping_only_some_frees_the_rest(store: AddressStore, tmp_path: Path) -> None:
    for number in range(4):
        store.reserve((f"c{number}", "eth0"), SMALL)
    assert len(store.keep_only([("c1", "eth0"), ("c3", "eth0")])) == 2
    assert {owner for _address, owner in store.reservations()} == {("c1", "eth0"), ("c3", "eth0")}
    assert len(list((tmp_path / "net" / "owners").iterdir())) == 2


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=60))
def test_no_address_is_ever_held_twice(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[bool, int]]) -> None:
    store = AddressStore(tmp_path_factory.mktemp("property") / "net")
    store.ensure()
    held: dict[int, IPv4Address] = {}
    for reserve, number in steps:
        owner = (f"c{number}", "eth0")
        if reserve:
            address, _ = store.reserve(owner, [range_of("10.0.0.0/28")])
            assert held.setdefault(number, address) == address
        else:
            assert store.release(owner) == ([held.pop(number)] if number in held else [])
        assert len(set(held.values())) == len(held)
        assert dict(store.reservations()) == {address: (f"c{number}", "eth0") for number, address in held.items()}


def _reserve_many(directory: Path, worker: int) -> list[str]:
    store = AddressStore(directory)
    return [str(store.reserve((f"w{worker}-{number}", "eth0"), [range_of("10.0.0.0/24")])[0]) for number in range(60)]


def test_processes_and_threads_at_once_never_get_the_same(tmp_path: Path) -> None:
    directory = tmp_path / "net"
    AddressStore(directory).ensure()
    with multiprocessing.get_context("spawn").Pool(2) as pool, ThreadPoolExecutor(2) as threads:
        others = pool.starmap_async(_reserve_many, [(directory, 1), (directory, 2)])
        own = list(threads.map(lambda worker: _reserve_many(directory, worker), [3, 4]))
        given_out = [address for many in [*others.get(30), *own] for address in many]
    assert len(given_out) == len(set(given_out)) == 240


_BUSY = """
import itertools, sys
from ipaddress import IPv4Network
from pathlib import Path
from cni.ipam import AddressStore, Range
network = IPv4Network("10.44.1.0/28")
store = AddressStore(Path(sys.argv[1]))
print("begun", flush=True)
for turn in itertools.count():
    owner = (f"w{sys.argv[2]}-{turn % 5}", "eth0")
    store.reserve(owner, [Range(network, network[1], network[-2], network[1])])
    if turn % 3:
        store.release(owner)
"""


def test_a_kill_at_any_moment_costs_no_address(store: AddressStore, tmp_path: Path) -> None:
    for number in range(6):
        argv = [sys.executable, "-c", _BUSY, str(tmp_path / "net"), str(number % 2)]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)}) as busy:
            assert busy.stdout is not None
            assert busy.stdout.readline() == b"begun\n"
            time.sleep(random.random() / 50)
            busy.kill()
        reserved = list(store.reservations())
        assert len({address for address, _owner in reserved}) == len(reserved)
    store.keep_only([])
    assert list(store.reservations()) == []
    every = [store.reserve((f"c{number}", "eth0"), SMALL)[0] for number in range(13)]
    assert len(set(every)) == 13
