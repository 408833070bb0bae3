"""`netsim trace`: one real packet sent, and its whole story told from what the kernel said and what was captured.

Nothing here models what should happen: rules come from the kernel's trace, links and times from captures, routes from
the kernel's look-ups, translations from the packets and the connection table.
"""

from workbench.tracing.ends import Target, read_ends
from workbench.tracing.picture import to_svg
from workbench.tracing.run import trace
from workbench.tracing.story import Leg, Step, Story, Visit
from workbench.tracing.text import to_lines

__all__ = ["Leg", "Step", "Story", "Target", "Visit", "read_ends", "to_lines", "to_svg", "trace"]
