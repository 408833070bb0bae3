"""One call of a plugin: what the spec passes in environment and standard input, as one value.

A plugin is a class with a method a command. It neither reads the environment nor prints; the runner
(`cni.plugins.runner`) does that for executables, and the invoker (`cni.invoke`) calls it directly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from cni.spec import Result
from netsim.netlink import Netlink


class Surroundings(Protocol):
    """What a call may use besides its own values: the namespace that it is made in, and other plugins."""

    def netlink(self) -> Netlink:
        """A socket into the namespace that the call is made in, the node's; not to be closed."""

    def invoke(self, command: str, plugin: str, call: Call) -> Result | None:
        """Calls another plugin, as a main plugin calls its IPAM plugin."""


@dataclass(frozen=True, slots=True)
class Call:
    """The values of one call. `config` is the plugin's whole configuration with name and cniVersion in it.

    `previous` is the prevResult, already read.
    """

    container_id: str
    netns: str
    ifname: str
    config: Mapping[str, Any]
    surroundings: Surroundings
    args: Mapping[str, str] = field(default_factory=dict)
    previous: Result | None = None

    @property
    def version(self) -> str:
        """The version of the spec that the call is in."""
        return str(self.config.get("cniVersion", ""))

    @property
    def network(self) -> str:
        """The network's name."""
        return str(self.config.get("name", ""))


class Plugin(Protocol):
    """What every plugin does. DELETE of what is gone succeeds; CHECK raises with code `CHECK_FAILED` or the cause's."""

    def add(self, call: Call) -> Result:
        """Attaches the container. After an error nothing is left of the attempt."""

    def delete(self, call: Call) -> None:
        """Undoes it, also when the namespace or anything else is gone."""

    def check(self, call: Call) -> None:
        """Raises if what ADD made is not as `call.previous` says."""

    def gc(self, call: Call) -> None:
        """Frees what belongs to no attachment of those in the configuration's valid-attachments."""

    def status(self, call: Call) -> None:
        """Raises if an ADD could not succeed now."""
