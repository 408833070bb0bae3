"""Faults that share a link: what one does is not taken for what another asks, and links that go are no failure."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from controlplane.faults.definition import LONGEST_NAME
from netsim import htb, namespace
from netsim.errors import NotFound
from netsim.faults import Book, Cut, Match, Shape
from tests.kernel.world import run


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path / "faults")


@pytest.fixture
def shaped(netns: str) -> str:
    """A namespace with a link `eth0` that leads nowhere."""
    run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "other", netns=netns)
    return netns


def shape(netns: str, rate: int) -> Shape:
    return Shape(str(namespace.namespace_path(netns)), "eth0", (Match(target=f"10.9.{rate % 250}.0/24"),), rate=rate)


def classes(netns: str) -> list[str]:
    return sorted(
        line.split(" rate ")[1].split()[0]
        for line in run("tc", "class", "show", "dev", "eth0", netns=netns).splitlines()
    )


def of_one_class() -> tuple[str, str]:
    """The names of two faults for which the same class would be chosen."""
    found: dict[int, str] = {}
    for name in (f"fault-{number}" for number in itertools.count()):
        if (number := htb.number_of(name)) in found:
            return found[number], name
        found[number] = name
    raise AssertionError("there are names without end")


def test_two_faults_of_one_class_hold_beside_each_other(shaped: str, book: Book) -> None:
    first, second = of_one_class()
    book.bring_about(first, [shape(shaped, 1_000_000)])
    book.bring_about(second, [shape(shaped, 2_000_000)])
    assert classes(shaped) == ["1Mbit", "2Mbit"]
    book.bring_about(second, [shape(shaped, 2_000_000)])
    assert classes(shaped) == ["1Mbit", "2Mbit"], "again changes nothing"
    filters = run("tc", "filter", "show", "dev", "eth0", "parent", "1:", netns=shaped)
    assert len({line.split("flowid ")[1].split()[0] for line in filters.splitlines() if "flowid" in line}) == 2
    book.bring_about(first, [])
    assert classes(shaped) == ["2Mbit"]
    book.bring_about(second, [])
    assert "htb" not in run("tc", "qdisc", "show", "dev", "eth0", netns=shaped)


def test_a_flushed_queue_is_made_again_for_both(shaped: str, book: Book) -> None:
    first, second = of_one_class()
    wanted = {first: shape(shaped, 1_000_000), second: shape(shaped, 2_000_000)}
    for name, effect in wanted.items():
        book.bring_about(name, [effect])
    run("tc", "qdisc", "del", "dev", "eth0", "root", netns=shaped)
    for name, effect in reversed(wanted.items()):
        book.bring_about(name, [effect])
    assert classes(shaped) == ["1Mbit", "2Mbit"]
    for name in wanted:
        book.bring_about(name, [])
    assert classes(shaped) == []


def test_a_link_that_has_gone_is_told_as_gone_and_healed(shaped: str, book: Book) -> None:
    book.bring_about("slow", [shape(shaped, 1_000_000)])
    run("ip", "link", "del", "eth0", netns=shaped)
    with pytest.raises(NotFound, match="Cannot find device"):
        book.bring_about("slow", [shape(shaped, 1_000_000)])
    book.bring_about("slow", [])
    assert book.faults() == []


def test_the_longest_name_of_a_fault_fits(netns: str, book: Book) -> None:
    name = "a" * LONGEST_NAME
    book.bring_about(name, [Cut(str(namespace.namespace_path(netns)), ((("10.9.1.2",), ("10.9.2.0/24",)),))])
    assert book.faults() == [name]
    assert name in run("nft", "list", "tables", netns=netns)
    book.bring_about(name, [])
    assert book.faults() == []
