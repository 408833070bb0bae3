"""Packets as they pass, at several points of several namespaces at once, in one pcapng stream on one clock.

A packet socket with a ring is opened in each namespace; one small program copies what the rings hold to the stream, in
the order of time. Knows links and namespaces, and no word of what they stand for: that is in the names it is given.
"""

from netsim.capture.bpf import FilterRejected, compile_filter
from netsim.capture.dissect import Endpoints, Summary, dissect
from netsim.capture.pairs import FlowPairs
from netsim.capture.pcapng import Interface, Packet, StreamReader, Tally, tallies, trim
from netsim.capture.point import Point
from netsim.capture.recorder import Recorder

__all__ = [
    "Endpoints",
    "FilterRejected",
    "FlowPairs",
    "Interface",
    "Packet",
    "Point",
    "Recorder",
    "StreamReader",
    "Summary",
    "Tally",
    "compile_filter",
    "dissect",
    "tallies",
    "trim",
]
