"""The protocol of CNI executables: environment and standard input in, one JSON object and an exit status out."""

from __future__ import annotations

import gc
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from cni import plugins
from cni.call import Call, Plugin
from cni.errors import CniError, Code, DecodeFailed, InvalidEnvironment
from cni.invoke import EXECUTE, Invoker
from cni.spec import CONTAINER_ID, CURRENT_VERSION, IFNAME, SUPPORTED_VERSIONS, Result, check_version
from netsim.errors import NetsimError

_NEEDED = {
    "ADD": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
    "DEL": ("CNI_CONTAINERID", "CNI_IFNAME"),
    "CHECK": ("CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"),
    "GC": (),
    "STATUS": (),
    "VERSION": (),
}


def main(name: str) -> NoReturn:
    """Serves one call as our plugin of that name, and ends the process.

    Nothing is left to tidy up that the kernel does not: Python's own end would take 8 ms, and its collector 1 ms.
    """
    gc.disable()
    plugin = plugins.load(name)
    if plugin is None:
        raise LookupError(name)
    status = run(plugin)
    sys.stdout.flush()
    os._exit(status)


def run(plugin: Plugin) -> int:
    """Serves the one call that the environment describes; returns the exit status."""
    version = CURRENT_VERSION
    try:
        command, config = _command(os.environ), _read_config(sys.stdin.buffer.read())
        version = str(config.get("cniVersion", CURRENT_VERSION))
        answer = _serve(plugin, command, config, os.environ)
    except CniError as error:
        _print(error.to_json(version))
        return 1
    except NetsimError as error:
        _print(CniError(Code.IO_FAILURE, str(error)).to_json(version))
        return 1
    if answer is not None:
        _print(answer)
    return 0


def _serve(
    plugin: Plugin, command: str, config: Mapping[str, Any], environment: Mapping[str, str]
) -> dict[str, Any] | None:
    if command == "VERSION":
        version = str(config.get("cniVersion", CURRENT_VERSION))
        return {"cniVersion": version, "supportedVersions": list(SUPPORTED_VERSIONS)}
    check_version(str(config.get("cniVersion", "0.1.0")))
    directories = [Path(entry) for entry in environment.get("CNI_PATH", "").split(":") if entry]
    call = _call(config, environment, Invoker(directories))
    if command == "ADD":
        return plugin.add(call).to_json(call.version)
    {"DEL": plugin.delete, "CHECK": plugin.check, "GC": plugin.gc, "STATUS": plugin.status}[command](call)
    return None


def _call(config: Mapping[str, Any], environment: Mapping[str, str], invoker: Invoker) -> Call:
    previous = config.get("prevResult")
    return Call(
        container_id=environment.get("CNI_CONTAINERID", ""),
        netns=environment.get("CNI_NETNS", ""),
        ifname=environment.get("CNI_IFNAME", ""),
        # That this plugin is executed says nothing of the one that it calls for addresses.
        config={key: value for key, value in config.items() if key not in ("prevResult", EXECUTE)},
        surroundings=invoker,
        args=_arguments(environment.get("CNI_ARGS", "")),
        previous=Result.from_json(previous) if previous else None,
    )


def _command(environment: Mapping[str, str]) -> str:
    command = environment.get("CNI_COMMAND", "")
    if command not in _NEEDED:
        raise InvalidEnvironment("CNI_COMMAND", details=f"{command!r} is none of {', '.join(_NEEDED)}")
    missing = [name for name in _NEEDED[command] if not environment.get(name)]
    if missing:
        raise InvalidEnvironment(*missing)
    for name, pattern in (("CNI_CONTAINERID", CONTAINER_ID), ("CNI_IFNAME", IFNAME)):
        if name in _NEEDED[command] and pattern.fullmatch(environment[name]) is None:
            raise InvalidEnvironment(name, details=repr(environment[name]))
    return command


def _arguments(text: str) -> dict[str, str]:
    pairs = [entry.partition("=") for entry in text.split(";") if entry]
    if any(not separator for _key, separator, _value in pairs):
        raise InvalidEnvironment("CNI_ARGS", details=f"{text!r} is not of the form KEY=VALUE;KEY=VALUE")
    return {key: value for key, _separator, value in pairs}


def _read_config(text: bytes) -> Mapping[str, Any]:
    try:
        config = json.loads(text or b"{}")
    except ValueError as error:
        raise DecodeFailed("the network configuration", str(error)) from error
    if not isinstance(config, dict):
        raise DecodeFailed("the network configuration", "not an object")
    return config


def _print(body: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(body) + "\n")
