"""From Kubernetes' names to places in the kernel: pods and nodes that are meant, links to look at, addresses and names.

What captures, traces, faults and tests take as `pod/web`, `deploy/api` or `node/node-1` is read here and nowhere else.
"""

from workbench.places.addresses import AddressBook
from workbench.places.described import describe
from workbench.places.filters import with_names
from workbench.places.points import PLACES, points_of, points_of_each
from workbench.places.selection import NoSuchPlace, Selection, place_name, select

__all__ = [
    "PLACES",
    "AddressBook",
    "NoSuchPlace",
    "Selection",
    "describe",
    "place_name",
    "points_of",
    "points_of_each",
    "select",
    "with_names",
]
