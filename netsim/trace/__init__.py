"""One packet's way through the rules of namespaces, in the kernel's own words.

A probe is sent with a mark of its own in the IP header (a DSCP); in each namespace a table with a few rules has the
kernel tell of every rule that the probe, its connection's other packets and their answers meet. The table belongs to
the process that made it and goes with it, however that ends.
"""

from netsim.trace.events import Event, Kind, PacketHead
from netsim.trace.probe import PROBE_DSCP, Outcome, Probe
from netsim.trace.rulebook import RuleBook
from netsim.trace.watch import Watch

__all__ = ["PROBE_DSCP", "Event", "Kind", "Outcome", "PacketHead", "Probe", "RuleBook", "Watch"]
