"""What this host must have to carry a cluster, each answered with what was found and how to get what is missing.

The kernel is asked by trying, in a namespace that is thrown away, not by reading its configuration: what counts is
what works. Nothing of the host is changed but that the kernel may load its own modules.
"""

from __future__ import annotations

from netsim.errors import MissingRequirement
from netsim.probe import features, limits, programs
from netsim.probe.capabilities import capabilities
from netsim.probe.check import Check

__all__ = ["DEFAULT_PODS", "Check", "checks", "require", "require_netem"]

DEFAULT_PODS = 110


def checks(pods: int = DEFAULT_PODS) -> list[Check]:
    """Every check, the required ones first of each group; limits are judged for that many pods."""
    root = programs.root()
    found = [root, *programs.programs()]
    if root.ok:
        found += [*features.features(), limits.host_forwarding()]
    return [*found, *capabilities(), limits.cgroups(), *limits.limits(pods)]


def require() -> None:
    """Raises `MissingRequirement` naming everything required that is missing, what was found, and how to get each."""
    root = programs.root()
    if not root.ok:
        raise MissingRequirement(f"this needs root: running as {root.found}", root.remedy)
    missing = [check for check in (*programs.programs(), *features.required()) if check.required and not check.ok]
    if missing:
        raise MissingRequirement(
            "this host lacks " + ", ".join(f"{check.name} ({check.found})" for check in missing),
            "; ".join(dict.fromkeys(check.remedy for check in missing)),
        )


def require_netem(wanted_by: str) -> None:
    """Raises `MissingRequirement` where the kernel cannot delay or lose packets; `wanted_by` says what asks for it."""
    if not features.has_netem():
        raise MissingRequirement(
            f"{wanted_by}: this kernel lacks netem, the module sch_netem",
            "use a kernel with CONFIG_NET_SCH_NETEM, as Debian's and Ubuntu's are; or leave delay, jitter and loss out",
        )
