"""A token bucket on a link, and what a link receives sent through another's, in the calling thread's namespace.

By the program `tc`: pyroute2's messages for queueing disciplines bring all of pyroute2 with them, 110 ms and 18 MB.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from netsim import firewall, programs
from netsim.errors import CommandFailed

_LATENCY = "25ms"
_ABSENT = ("Cannot find device", "Invalid handle", "Cannot delete qdisc with handle of zero", "No such file")


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """`rate` in bits a second, `burst` in bits."""

    rate: int
    burst: int


def ensure(ifname: str, bucket: TokenBucket) -> None:
    """What the link sends goes through the bucket, in place of any that it had."""
    burst = max(bucket.burst // 8, 1)
    shape = ["rate", f"{bucket.rate}bit", "burst", str(burst), "latency", _LATENCY]
    _tc("qdisc", "replace", "dev", ifname, "root", "tbf", *shape)


def remove(ifname: str) -> None:
    """Takes the bucket off; none, or no link, is no error."""
    try:
        _tc("qdisc", "del", "dev", ifname, "root")
    except CommandFailed as error:
        if not any(text in error.stderr for text in _ABSENT):
            raise


def redirect_received(ifname: str, target: str) -> None:
    """All that the link receives goes through `target`, an ifb link, before anything else sees it."""
    _tc("qdisc", "replace", "dev", ifname, "handle", "ffff:", "ingress")
    everything = ["protocol", "all", "u32", "match", "u32", "0", "0"]
    action = ["action", "mirred", "egress", "redirect", "dev", target]
    _tc("filter", "replace", "dev", ifname, "parent", "ffff:", "pref", "1", *everything, *action)


def find_rate(ifname: str) -> int | None:
    """The rate of the link's bucket in bits a second, or None if it has none."""
    try:
        listed = json.loads(_tc("-json", "qdisc", "show", "dev", ifname, "root"))
    except CommandFailed as error:
        if any(text in error.stderr for text in _ABSENT):
            return None
        raise
    return next((each["options"]["rate"] * 8 for each in listed if each.get("kind") == "tbf"), None)


def _tc(*arguments: str) -> str:
    return firewall.run([programs.require("tc", "iproute2"), *arguments])
