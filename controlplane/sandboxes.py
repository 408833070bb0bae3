"""Where the network namespaces of pods are, as the agents of nodes noted it, for those who look from outside."""

from __future__ import annotations

import json

from controlplane.directories import Directories
from netsim import namespace


def netns_of(directories: Directories, node: str, uid: str) -> str | None:
    """The name of a pod's network namespace, "" if it is on its node's; None if it has none yet or any more."""
    file = directories.node(node) / "sandboxes" / uid / "sandbox.json"
    try:
        name = str(json.loads(file.read_bytes())["netns"])
    except FileNotFoundError:
        return None
    # The note outlives the namespace by a moment, and a reboot of the host by more.
    return name if not name or namespace.exists(name) else None
