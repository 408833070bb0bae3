"""`netsim node …`, as the daemon takes it from its control socket: arguments checked, then done by `Machines`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from controlplane.api import names
from controlplane.api.quantity import milli
from controlplane.config import NodeConfig, ResolvedNode
from controlplane.config.names import LABEL, LABEL_ALLOWED, NODE_NAME, NODE_NAME_ALLOWED
from controlplane.control import Command, Refused
from controlplane.machines import Machines
from controlplane.readiness import NodesNotReady

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def commands(machines: Machines) -> dict[str, Command]:
    """The commands about nodes, by the words that ask for them."""

    async def add(arguments: dict[str, Any]) -> Any:
        try:
            return _shown(await machines.add(_wanted(arguments)))
        except NodesNotReady as error:
            raise Refused(str(error), "see the daemon's log") from error

    async def remove(arguments: dict[str, Any]) -> Any:
        await machines.remove(arguments["node"], grace=float(arguments["grace"]))

    async def stop(arguments: dict[str, Any]) -> Any:
        await machines.stop(arguments["node"], grace=float(arguments["grace"]))

    async def crash(arguments: dict[str, Any]) -> Any:
        await machines.crash(arguments["node"])

    async def start(arguments: dict[str, Any]) -> Any:
        try:
            await machines.start(arguments["node"])
        except NodesNotReady as error:
            raise Refused(str(error), "see the daemon's log") from error

    async def show(arguments: dict[str, Any]) -> Any:
        return [{**_shown(node), "ready": node.name in machines.ready.names} for node in machines.config.nodes]

    found = {"add": add, "remove": remove, "stop": stop, "crash": crash, "start": start, "list": show}
    return {f"node {word}": command for word, command in found.items()}


def _shown(node: ResolvedNode) -> dict[str, Any]:
    return {
        "name": node.name,
        "state": node.state,
        "subnet": node.subnet,
        "region": node.region,
        "zone": node.zone,
        "address": str(node.address),
        "podRange": str(node.pod_range) if node.pod_range is not None else None,
        "tags": list(node.tags),
    }


def _wanted(arguments: Mapping[str, Any]) -> NodeConfig:
    name = arguments.get("node") or ""
    if name and not re.fullmatch(NODE_NAME, name):
        raise Refused(f"{name!r} is no name for a node: {NODE_NAME_ALLOWED}")
    labels, taints = arguments.get("labels") or {}, arguments.get("taints") or []
    _refuse_any(_label_faults(labels))
    _refuse_any(_taint_faults(taints))
    _refuse_any([f"tag {tag}: {LABEL_ALLOWED}" for tag in arguments.get("tags") or () if not re.fullmatch(LABEL, tag)])
    _refuse_any(names.label_value(arguments.get("machineType") or ""))
    max_pods = arguments.get("maxPods")
    return NodeConfig(
        name=name,
        subnet=arguments.get("subnet"),
        zone=arguments.get("zone"),
        labels=labels,
        cpu=_quantity("cpu", arguments.get("cpu")),
        memory=_quantity("memory", arguments.get("memory")),
        max_pods=None if max_pods is None else int(max_pods),
        taints=tuple(taints),
        tags=tuple(arguments.get("tags") or ()),
        machine_type=arguments.get("machineType"),
    )


def _label_faults(labels: Mapping[str, str]) -> list[str]:
    return [
        f"label {key}={value}: {fault}"
        for key, value in labels.items()
        for fault in (*names.label_key(key), *names.label_value(value))
    ]


def _taint_faults(taints: list[dict[str, str]]) -> list[str]:
    faults = []
    for taint in taints:
        key, effect = taint.get("key", ""), taint.get("effect", "")
        faults += [f"taint {key}: {fault}" for fault in names.label_key(key)]
        faults += [f"taint {key}: {fault}" for fault in names.label_value(taint.get("value", ""))]
        if effect not in EFFECTS:
            faults.append(f"taint {key}: the effect is one of {', '.join(EFFECTS)}, not {effect!r}")
    return faults


def _refuse_any(faults: list[str]) -> None:
    if faults:
        raise Refused("; ".join(faults))


def _quantity(what: str, text: str | None) -> str | None:
    if text is None:
        return None
    try:
        if milli(text) <= 0:
            raise Refused(f"{what}: {text} is nothing to run a node on")
    except ValueError as error:
        raise Refused(f"{what}: {text!r} is no quantity", "as in: --cpu 4 --memory 8Gi") from error
    return text
