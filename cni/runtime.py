"""The side of CNI that asks: carries a network configuration list out for a container, as libcni does.

A runtime belongs to one network in one namespace (a node's); its methods block and are called in a thread that is
in that namespace, one at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from cni.cache import ResultCache
from cni.call import Call
from cni.errors import CniError, Code
from cni.invoke import Invoker
from cni.spec import VALID_ATTACHMENTS, Attachment, NetworkList, Result, at_least

__all__ = ["Attachment", "Result", "Runtime"]


class Runtime:
    """Attaches containers to the network of `conflist` (the parsed JSON).

    `plugin_dirs` is where plugins are looked for that are not our own; `cache_dir` keeps the results.
    """

    def __init__(self, conflist: Mapping[str, Any], plugin_dirs: Sequence[Path], cache_dir: Path) -> None:
        self.network = NetworkList.from_json(conflist)
        self._invoker = Invoker(plugin_dirs)
        self._cache = ResultCache(cache_dir)

    def add(self, attachment: Attachment) -> Result:
        """Calls ADD of each plugin in order and returns the last result.

        Raises `CniError`; what the plugins before the failing one had made is deleted again.
        """
        result: Result | None = None
        with ExitStack() as undo:
            for plugin in self.network.plugins:
                result = self._call("ADD", plugin, attachment, result) or result or Result()
                undo.callback(self._call, "DEL", plugin, attachment, self._previous(result))
            undo.pop_all()
        assert result is not None
        self._cache.put(self.network.name, self.network.cni_version, attachment, result)
        return result

    def delete(self, attachment: Attachment) -> None:
        """Calls DEL of each plugin, the last first; what is gone is no error.

        Capabilities that are not given are those of the ADD.
        """
        attachment, result = self._remembered(attachment)
        for plugin in reversed(self.network.plugins):
            self._call("DEL", plugin, attachment, self._previous(result))
        self._cache.remove(self.network.name, attachment.container_id, attachment.ifname)

    def check(self, attachment: Attachment) -> None:
        """Calls CHECK of each plugin. Raises if something that ADD made is not there any more."""
        if self.network.disable_check or not at_least(self.network.cni_version, "0.4.0"):
            return
        attachment, result = self._remembered(attachment)
        if result is None:
            name = f"{attachment.container_id} {attachment.ifname}"
            raise CniError(Code.UNKNOWN_CONTAINER, f"{name} is not attached to network {self.network.name}")
        for plugin in self.network.plugins:
            self._call("CHECK", plugin, attachment, result)

    def gc(self, valid: Iterable[tuple[str, str]]) -> None:
        """Deletes attachments that are not among `valid` (container id, ifname), then has each plugin clean up."""
        kept = set(valid)
        for attachment in list(self._cache.attachments(self.network.name)):
            if (attachment.container_id, attachment.ifname) not in kept:
                self.delete(attachment)
        if self.network.disable_gc or not at_least(self.network.cni_version, "1.1.0"):
            return
        listed = [{"containerID": container_id, "ifname": ifname} for container_id, ifname in sorted(kept)]
        for plugin in self.network.plugins:
            self._call("GC", {**plugin, VALID_ATTACHMENTS: listed}, Attachment("", "", ""), None)

    def status(self) -> None:
        """Calls STATUS of each plugin. Raises the first failure: the network is not ready for ADD."""
        if not at_least(self.network.cni_version, "1.1.0"):
            return
        for plugin in self.network.plugins:
            self._call("STATUS", plugin, Attachment("", "", ""), None)

    def close(self) -> None:
        """Closes the netlink socket."""
        self._invoker.close()

    def _previous(self, result: Result | None) -> Result | None:
        """What DEL is told; before 0.4.0 it was told nothing."""
        return result if at_least(self.network.cni_version, "0.4.0") else None

    def _call(
        self, command: str, plugin: Mapping[str, Any], attachment: Attachment, previous: Result | None
    ) -> Result | None:
        call = Call(
            container_id=attachment.container_id,
            netns=attachment.netns,
            ifname=attachment.ifname,
            config=self._config(plugin, attachment.capabilities),
            surroundings=self._invoker,
            args=attachment.args,
            previous=previous,
        )
        return self._invoker.invoke(command, plugin["type"], call)

    def _config(self, plugin: Mapping[str, Any], capabilities: Mapping[str, Any]) -> dict[str, Any]:
        config = {**plugin, "name": self.network.name, "cniVersion": self.network.cni_version}
        declared = config.pop("capabilities", {})
        runtime = {name: value for name, value in capabilities.items() if declared.get(name)}
        return config | {"runtimeConfig": runtime} if runtime else config

    def _remembered(self, attachment: Attachment) -> tuple[Attachment, Result | None]:
        """The attachment with the capabilities of its ADD, and its result; as it is, and None, if there was none."""
        found = self._cache.get(self.network.name, attachment.container_id, attachment.ifname)
        if found is None:
            return attachment, None
        asked, result = found
        return replace(attachment, capabilities=attachment.capabilities or asked.capabilities), result
