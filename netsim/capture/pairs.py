"""Which flows are one connection on both sides of an address translation, told from the packets alone.

A packet that is translated keeps its IP identification, its TCP sequence numbers and its data. The same packet under
other addresses within a moment ties the two flows together.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from netsim.capture.dissect import Endpoints, Summary

_MOMENT = 2_000_000_000
"""In nanoseconds: how long a packet is remembered. A namespace is crossed in microseconds."""
_MOST_REMEMBERED = 20_000
_MOST_FLOWS = 50_000


class FlowPairs:
    """Numbers flows as they come, both directions and all translations of a connection alike."""

    def __init__(self) -> None:
        self._packets: OrderedDict[tuple[object, ...], tuple[int, Endpoints]] = OrderedDict()
        self._flows: OrderedDict[Endpoints, _Flow] = OrderedDict()
        self._last = 0

    def take(self, summary: Summary, time: int) -> int:
        """The number of the packet's connection; 0 if it is of none. `time` in nanoseconds."""
        ends = summary.endpoints
        if ends is None or not summary.identity:
            return 0
        seen = self._packets.get(summary.identity)
        same = seen is not None and time - seen[0] < _MOMENT and seen[1] != ends
        flow = self._tie(seen[1], ends) if seen is not None and same else self._flow_of(ends)
        self._packets[summary.identity] = (time, ends)
        self._packets.move_to_end(summary.identity)
        while len(self._packets) > _MOST_REMEMBERED:
            self._packets.popitem(last=False)
        return flow.number

    def translations(self, ends: Endpoints) -> list[Endpoints]:
        """What packets of this flow and direction are elsewhere on their way."""
        flow = self._flows.get(ends)
        return [] if flow is None else sorted(flow.forms.get(ends, set()), key=lambda each: each.destination)

    def _flow_of(self, ends: Endpoints) -> _Flow:
        flow = self._flows.get(ends)
        if flow is None:
            self._last += 1
            flow = _Flow(self._last)
        self._keep(ends, flow)
        return flow

    def _tie(self, before: Endpoints, after: Endpoints) -> _Flow:
        kept, other = self._flow_of(before), self._flows.get(after)
        self._keep(after, kept)
        if other is not None and kept is not other:
            kept.forms |= other.forms
            for ends in [each for each, flow in self._flows.items() if flow is other]:
                self._flows[ends] = kept
        for one, two in ((before, after), (after, before), (before.reply, after.reply), (after.reply, before.reply)):
            kept.forms.setdefault(one, set()).add(two)
        return kept

    def _keep(self, ends: Endpoints, flow: _Flow) -> None:
        for direction in (ends, ends.reply):
            self._flows[direction] = flow
            self._flows.move_to_end(direction)
        while len(self._flows) > _MOST_FLOWS:
            self._flows.popitem(last=False)


@dataclass(slots=True)
class _Flow:
    number: int
    forms: dict[Endpoints, set[Endpoints]] = field(default_factory=dict)
