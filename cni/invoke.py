"""Calls plugins: our own in this process, any other as the executable that it is."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cni import plugins
from cni.call import Call, Plugin
from cni.errors import Code, DecodeFailed, PluginFailed
from cni.spec import Result
from netsim.netlink import Netlink

if TYPE_CHECKING:
    import subprocess

LIMIT_SECONDS = 60
EXECUTE = "netsim.execute"
"""Set true in a plugin's configuration to have the executable of that type run, though we have our own."""


class Invoker:
    """Finds plugins by type, first among our own, then in `plugin_dirs`; for one thread at a time."""

    def __init__(self, plugin_dirs: Sequence[Path] = ()) -> None:
        self._dirs = tuple(plugin_dirs)
        self._netlink: Netlink | None = None

    def netlink(self) -> Netlink:
        """The socket into the namespace of the first caller, opened once."""
        if self._netlink is None:
            self._netlink = Netlink()
        return self._netlink

    def close(self) -> None:
        """Closes the socket."""
        if self._netlink is not None:
            self._netlink.close()
            self._netlink = None

    def invoke(self, command: str, plugin: str, call: Call) -> Result | None:
        """Calls a plugin; a result comes from ADD only. Raises `CniError`, of foreign plugins `PluginFailed`."""
        found = self._find(plugin, execute=bool(call.config.get(EXECUTE)))
        if isinstance(found, Path):
            return self._execute(command, plugin, found, call)
        if command == "ADD":
            return found.add(call)
        {"DEL": found.delete, "CHECK": found.check, "GC": found.gc, "STATUS": found.status}[command](call)
        return None

    def _find(self, plugin: str, *, execute: bool) -> Plugin | Path:
        own = None if execute else plugins.load(plugin)
        if own is not None:
            return own
        if "/" in plugin:
            raise PluginFailed(plugin, Code.INVALID_CONFIG, "a plugin's type is a name, not a path")
        for directory in self._dirs:
            if os.access(directory / plugin, os.X_OK):
                return directory / plugin
        searched = ", ".join(map(str, self._dirs)) or "no directory"
        raise PluginFailed(plugin, Code.INVALID_CONFIG, f"failed to find plugin {plugin!r}", f"searched {searched}")

    def _execute(self, command: str, plugin: str, path: Path, call: Call) -> Result | None:
        # Plugins that are executables themselves start by as much sooner as they do not load this.
        import subprocess

        body = dict(call.config)
        if call.previous is not None:
            body["prevResult"] = call.previous.to_json(call.version)
        try:
            done = subprocess.run(
                [str(path)],
                input=json.dumps(body).encode(),
                capture_output=True,
                env=self._environment(command, call),
                timeout=LIMIT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            details = f"killed after {LIMIT_SECONDS} s"
            raise PluginFailed(plugin, Code.TRY_AGAIN_LATER, f"{command} did not end", details) from error
        except OSError as error:
            raise PluginFailed(plugin, Code.IO_FAILURE, f"cannot run {path}", str(error)) from error
        if done.returncode != 0:
            raise _failure(plugin, command, done)
        return Result.from_json(_decoded(plugin, done.stdout)) if command == "ADD" else None

    def _environment(self, command: str, call: Call) -> dict[str, str]:
        values = {
            "CNI_COMMAND": command,
            "CNI_CONTAINERID": call.container_id,
            "CNI_NETNS": call.netns,
            "CNI_IFNAME": call.ifname,
            "CNI_ARGS": ";".join(f"{key}={value}" for key, value in call.args.items()),
            "CNI_PATH": ":".join(map(str, self._dirs)),
        }
        return os.environ | values


def _failure(plugin: str, command: str, done: subprocess.CompletedProcess[bytes]) -> PluginFailed:
    try:
        body = json.loads(done.stdout)
        return PluginFailed(plugin, int(body["code"]), str(body["msg"]), str(body.get("details", "")))
    except (ValueError, KeyError, TypeError):
        said = (done.stderr or done.stdout).decode(errors="replace").strip()
        return PluginFailed(plugin, Code.IO_FAILURE, f"{command} exited with status {done.returncode}", said)


def _decoded(plugin: str, text: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(text)
    except ValueError as error:
        raise DecodeFailed(f"what plugin {plugin} printed", str(error)) from error
    if not isinstance(body, dict):
        raise DecodeFailed(f"what plugin {plugin} printed", "not an object")
    return body
