"""What a container costs without its network: beside the bare `crun run` of the same bundle, and in memory.

The reference is the least one can do by programs: one `crun run --detach` after another of a bundle that was written
before. Ours writes the root, the bundle and the record, starts conmon, creates, starts, and waits until the
stand-in server listens.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import subprocess
import time
from pathlib import Path

import orjson

from bench import harness
from controlplane.directories import CACHE_ROOT, Directories
from controlplane.node.images.standin import StandIn, StandInConfig, control_directory, write_config
from controlplane.node.runtime import cgroups, oci
from controlplane.node.runtime.container import Container, ContainerRuntime
from controlplane.node.runtime.execution import output_of
from controlplane.node.runtime.process import read_once
from controlplane.node.runtime.record import Record
from controlplane.node.runtime.spawner import Spawner, shared_spawner
from netsim import inventory

CONTAINERS, AT_ONCE, EXECS = 40, 4, 10
CLUSTER = f"bench{os.getpid()}"
READY_SECONDS = 10


def run(session: harness.Session) -> None:
    """Reports the figures."""
    try:
        rounds = [asyncio.run(_round()) for _ in range(session.runs)]
        own = [found["start"] for found in rounds]
        beside = [found["bare"] for found in rounds]
        session.report("container started and listening, one by one", own, beside, "ms", reference_is="crun run")
        session.report(f"the same, {AT_ONCE} at once", [found["many"] for found in rounds], beside, "ms")
        session.report("container removed", [found["remove"] for found in rounds], None, "ms")
        session.report("command executed", [found["exec"] for found in rounds], None, "ms")
        memory = [found["memory"] for found in rounds]
        session.report("memory of a stand-in with its conmon (PSS)", memory, None, "MB", "<= 1.5")
    finally:
        inventory.remove(CLUSTER)


async def _round() -> dict[str, float]:
    spawner, directories = shared_spawner(), Directories(CLUSTER)
    runtime = ContainerRuntime(CLUSTER, directories.run, spawner, lambda container: None)
    standin, data = StandIn(CACHE_ROOT), directories.state / "pods"
    await spawner.files(standin.skeleton)
    found: dict[str, float] = {}
    began = time.perf_counter()
    alone = [await _start(runtime, standin, data) for _ in range(CONTAINERS // 4)]
    found["start"] = _each(began, len(alone))
    gate = asyncio.Semaphore(AT_ONCE)

    async def start() -> Container:
        async with gate:
            return await _start(runtime, standin, data)

    began = time.perf_counter()
    many = await asyncio.gather(*(start() for _ in range(CONTAINERS)))
    found["many"] = _each(began, CONTAINERS)
    found["memory"] = sum(_pss_of(container) for container in many) / CONTAINERS / 1024
    began = time.perf_counter()
    for _ in range(EXECS):
        await output_of(runtime, many[0], ["/.netsim/server"], READY_SECONDS)
    found["exec"] = _each(began, EXECS)
    found["bare"] = await _bare(spawner, many[0], data)
    began = time.perf_counter()
    for container in (*alone, *many):
        await runtime.remove(container)
    found["remove"] = _each(began, CONTAINERS + len(alone))
    return found


async def _start(runtime: ContainerRuntime, standin: StandIn, data: Path) -> Container:
    container_id = secrets.token_hex(32)
    directory, bundle = data / container_id, runtime.bundle(container_id)
    image = standin.find("bench")
    assert image is not None
    directory.mkdir(parents=True)
    bundle.mkdir(parents=True)
    filesystem = standin.unpack(image, bundle, directory, ())
    write_config(bundle, StandInConfig("bench", "pod", "default", "node", "127.0.0.1", tcp=(8080,)))
    cgroup = cgroups.container_cgroup(CLUSTER, "node", "bench", container_id)
    plan = oci.ContainerPlan(
        id=container_id,
        root=filesystem.root,
        argv=image.command,
        environment={"PATH": oci.DEFAULT_PATH},
        cwd="/",
        cgroup=cgroup,
        namespaces=oci.Namespaces("", "", ""),
        mounts=filesystem.mounts,
        overlays=filesystem.overlays,
        root_overlay=filesystem.overlay,
    )
    record = Record(
        id=container_id,
        pod_uid="bench",
        pod_namespace="default",
        pod_name="bench",
        container="c",
        attempt=0,
        init=False,
        image=image.reference,
        image_id=image.id,
        created=time.time(),
        cgroup=cgroup,
        log_path=f"{directory}.log",
        data_dir=str(directory),
        termination_path="",
        spec_hash="",
    )
    container = await runtime.create(plan, record)
    fifo = os.open(control_directory(bundle) / "ready", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        await runtime.start(container)
        async with asyncio.timeout(READY_SECONDS):
            await read_once(fifo, 1)
    finally:
        os.close(fifo)
    return container


async def _bare(spawner: Spawner, model: Container, data: Path) -> float:
    """Milliseconds of a `crun run --detach` of the model's configuration on a plain directory, without conmon."""
    config = orjson.loads((model.bundle / "config.json").read_bytes())
    bundle, root = data / "bare", data / "bare.runtime"
    bundle.mkdir()
    shutil.copytree(StandIn(CACHE_ROOT).skeleton(), bundle / "rootfs", symlinks=True)
    config["root"] = {"path": "rootfs"}
    names = [f"bare-{secrets.token_hex(4)}" for _ in range(EXECS)]
    wall = 0.0
    for name in names:
        config["linux"]["cgroupsPath"] = f"{cgroups.TOP}/{CLUSTER}/{name}"
        (bundle / "config.json").write_bytes(orjson.dumps(config))
        began = time.perf_counter()
        await _run(spawner, [spawner.runtime, "--root", str(root), "run", "--detach", "--bundle", str(bundle), name])
        wall += time.perf_counter() - began
    for name in names:
        await _run(spawner, [spawner.runtime, "--root", str(root), "delete", "--force", name])
    shutil.rmtree(bundle)
    return wall / EXECS * 1e3


async def _run(spawner: Spawner, argv: list[str]) -> None:
    process = await spawner.spawn(argv)
    code = await spawner.files(process.wait)
    if code:
        raise subprocess.CalledProcessError(code, argv)


def _pss_of(container: Container) -> float:
    monitor = int((container.bundle / "conmon.pid").read_text())
    return sum(_pss(pid) for pid in (container.pid, monitor))


def _pss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return float(line.split()[1])
    return 0.0


def _each(began: float, count: int) -> float:
    return (time.perf_counter() - began) / count * 1e3


if __name__ == "__main__":
    harness.main(run)
