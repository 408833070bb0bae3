"""Brings one node's kernel from one `NodePolicy` to the next; runs in the node's namespace.

The order is what keeps denied packets out: sets of peers come first, then in one transaction the chains that name
them, then members move, into their new sets before out of the old ones; last goes what nobody names any more. A chain
takes hold of a pod when the pod comes into the chain's set.
"""

from __future__ import annotations

from collections.abc import Mapping

from controlplane.policy import names, restore, sets
from controlplane.policy.rules import NodePolicy
from controlplane.policy.sets import AddressSet
from netsim import firewall
from netsim.errors import CommandFailed

POSTURES = (names.INGRESS, names.EGRESS)


def adopt(wanted: NodePolicy) -> dict[str, AddressSet] | None:
    """Writes all of `wanted` over whatever an earlier process left; the sets that were there.

    None if there was nothing and nothing is wanted: then no rule was read or written either, for there is no chain of
    ours without a set.
    """
    before = sets.parse(_saved(wanted))
    if not before and not wanted.chains:
        return None
    rules = restore.full(firewall.save(restore.TABLE), wanted.chains)
    _write(before, wanted.sets, rules)
    return before


def _saved(wanted: NodePolicy) -> str:
    try:
        return firewall.save_sets()
    except CommandFailed:
        # A kernel without sets holds none of ours; it matters once some are wanted.
        if wanted.sets:
            raise
        return ""


def change(before: NodePolicy, wanted: NodePolicy) -> None:
    """Writes what differs."""
    _write(before.sets, wanted.sets, restore.changes(before.chains, wanted.chains))


def in_place(wanted: NodePolicy) -> bool:
    """Whether the chains are there, and met before all others."""
    return restore.in_place(firewall.save(restore.TABLE), wanted.chains)


def _write(before: Mapping[str, AddressSet], wanted: Mapping[str, AddressSet], rules: str) -> None:
    new = sets.created(before, wanted, empty=POSTURES)
    staged = {**before, **{name: _staged(name, wanted[name]) for name in wanted if name not in before}}
    moves = sets.filled(staged, wanted)
    gone = sets.destroyed(before, wanted)
    if not rules:
        _commands([*new, *moves, *gone])
        return
    _commands(new)
    firewall.restore(rules)
    _commands([*moves, *gone])


def _staged(name: str, wanted: AddressSet) -> AddressSet:
    """A set as `sets.created` makes it."""
    return AddressSet(wanted.kind, counters=wanted.counters) if name.startswith(POSTURES) else wanted


def _commands(lines: list[str]) -> None:
    if lines:
        firewall.restore_sets("\n".join([*lines, ""]))
