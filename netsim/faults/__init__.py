"""Faults in the kernel: what is cut, slowed, removed or stopped on purpose, each on its own and to be undone.

An `Effect` is one such thing at one place. A `Book` makes the effects of a fault what they should be, and writes down
before it changes something what it was, so that another process can undo it. Who is meant, and when, is said above.
"""

from netsim.faults.book import Book, Effect
from netsim.faults.cut import TABLE_PREFIX, Cut, NamesLost, table_of
from netsim.faults.links import LinkDown, SmallMtu
from netsim.faults.removed import RouteRemoved, RuleRemoved
from netsim.faults.shape import Match, Shape, require_shape
from netsim.faults.stopped import Stopped, kill

__all__ = [
    "TABLE_PREFIX",
    "Book",
    "Cut",
    "Effect",
    "LinkDown",
    "Match",
    "NamesLost",
    "RouteRemoved",
    "RuleRemoved",
    "Shape",
    "SmallMtu",
    "Stopped",
    "kill",
    "require_shape",
    "table_of",
]
