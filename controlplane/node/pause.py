"""The first process of a pod whose containers share their processes: it holds the process namespace and reaps.

It is a container of its own, as upstream's is: /pause in a root with nothing in it but itself, without capabilities.
Containers of the pod join its process namespace; when it ends, the kernel ends them all.
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from controlplane.node.images.standin import PAUSE, StandIn
from controlplane.node.parts import NodeParts
from controlplane.node.runtime import cgroups, oci
from controlplane.node.runtime.container import Container
from controlplane.node.runtime.record import Record
from controlplane.node.state import PodState
from netsim.namespace import namespace_path

NAME = "POD"
"""No container of a manifest can be called so."""


def wanted(state: PodState) -> bool:
    """Whether the pod's containers share a process namespace that is not the host's."""
    spec = state.pod["spec"]
    return bool(spec.get("shareProcessNamespace")) and not spec.get("hostPID")


async def ensure(state: PodState, parts: NodeParts) -> None:
    """Has the process run, if the pod needs one; RuntimeFailure if it cannot."""
    if not wanted(state) or (state.pause is not None and state.pause.running):
        return
    await remove(state, parts)
    root = await parts.spawner.files(StandIn(parts.config.cache_directory).skeleton)
    plan, record = _plan(state, parts, root)
    made = await parts.runtime.create(plan, record)
    await parts.runtime.start(made)
    state.pause = made


async def remove(state: PodState, parts: NodeParts) -> None:
    """Ends it, and with it all that still runs in its namespace."""
    if state.pause is not None:
        await parts.runtime.remove(state.pause)
        state.pause = None


def adopted(state: PodState, container: Container) -> bool:
    """Takes one over that an earlier daemon made; False if this is another container."""
    if container.record.container != NAME:
        return False
    state.pause = container
    return True


def _plan(state: PodState, parts: NodeParts, root: Path) -> tuple[oci.ContainerPlan, Record]:
    sandbox, config = state.sandbox, parts.config
    assert sandbox is not None
    identity = secrets.token_hex(32)
    cgroup = cgroups.container_cgroup(config.cluster, config.name, state.uid, identity)
    bundle = parts.runtime.bundle(identity)
    record = Record(
        id=identity,
        pod_uid=state.uid,
        pod_namespace=state.namespace,
        pod_name=state.name,
        container=NAME,
        attempt=0,
        init=False,
        image="",
        image_id="",
        created=time.time(),
        cgroup=cgroup,
        log_path=str(bundle / "log"),
        data_dir=str(bundle / "data"),
        termination_path=str(bundle / "none"),
        spec_hash="",
        runtime=parts.spawner.runtime_name,
    )
    network = str(namespace_path(sandbox.netns)) if sandbox.netns else str(config.namespace)
    plan = oci.ContainerPlan(
        id=identity,
        root=root,
        argv=[PAUSE],
        environment={},
        cwd="/",
        cgroup=cgroup,
        namespaces=oci.Namespaces(network, str(sandbox.path / "uts") if sandbox.netns else "", ""),
        security=oci.Security(capabilities=(), no_new_privileges=True, read_only_root=True),
        resources=oci.Resources(),
    )
    return plan, record
