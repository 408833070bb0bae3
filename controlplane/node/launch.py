"""Starting one container: image, root file system, mounts, environment, create, start.

Each step that fails leaves the container waiting with the kubelet's reason, and an event.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from controlplane.api.quantity import whole
from controlplane.api.rules.qos import qos_class
from controlplane.api.types import Object
from controlplane.node import environment, podfiles, security, standin_ports
from controlplane.node.errors import ConfigFailure, ImageFailure, NodeError, RuntimeFailure
from controlplane.node.images.reference import default_pull_policy
from controlplane.node.images.standin import STANDARD_DIRECTORIES, control_directory, write_config
from controlplane.node.images.store import Image, ImageSource, RootFilesystem
from controlplane.node.parts import NodeParts
from controlplane.node.runtime import cgroups, oci
from controlplane.node.runtime.container import Container, Exit
from controlplane.node.runtime.process import read_once
from controlplane.node.runtime.record import Record
from controlplane.node.sandbox import Sandbox
from controlplane.node.state import ContainerState, PodState
from controlplane.node.values import expand
from netsim.namespace import namespace_path

FIRST_DELAY, LONGEST_DELAY = 10.0, 300.0
READY_SECONDS = 2.0
START_ERROR_CODE = 128
DEFAULT_TERMINATION_PATH = "/dev/termination-log"
SYSCTLS = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
"""What containerd sets, so that ping and low ports need no privilege."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is to be run."""

    plan: oci.ContainerPlan
    record: Record
    listens: bool


class Launcher:
    """Starts containers of one node's pods."""

    def __init__(self, parts: NodeParts) -> None:
        self._parts = parts

    async def launch(self, state: PodState, container: ContainerState) -> bool:
        """Starts the next attempt of a container; False when it now waits, with `retry_at` set."""
        assert state.sandbox is not None
        pod, attempt = state.pod, await self._next_attempt(state, container)
        try:
            image, source = self._image(state, container)
            prepared = await self._prepare(state, container, image, source, attempt)
        except ImageFailure as failure:
            self._image_failed(state, container, failure)
            return False
        except NodeError as failure:
            self._waits(state, container, "CreateContainerConfigError", str(failure))
            return False
        if container.current is not None:
            await self._supersede(container)
        try:
            container.current = await self._start(pod, container, prepared)
        except RuntimeFailure as failure:
            self._start_failed(state, container, prepared, failure)
            return True
        container.waiting, container.image_failures = None, 0
        return True

    def event(
        self, state: PodState, container: ContainerState, reason: str, message: str, *, warn: bool = False
    ) -> None:
        """Records an event about one container."""
        field = "initContainers" if container.role != "main" else "containers"
        path = f"spec.{field}{{{container.name}}}"
        self._parts.recorder.event(state.pod, "Warning" if warn else "Normal", reason, message, field_path=path)

    def data_dir(self, state: PodState) -> Path:
        """Where the pod's files are that outlive a reboot."""
        return self._parts.config.pods / state.uid

    async def _next_attempt(self, state: PodState, container: ContainerState) -> int:
        newest = container.current or container.previous
        if newest is not None:
            return newest.record.attempt + 1
        # After a reboot only the logs say how often it was started before.
        logs = self.data_dir(state).glob(f"{container.name}_*.log")
        return max((int(path.stem.rpartition("_")[2]) for path in logs), default=-1) + 1

    def _image(self, state: PodState, container: ContainerState) -> tuple[Image, ImageSource]:
        reference = container.spec["image"]
        policy = container.spec.get("imagePullPolicy") or default_pull_policy(reference)
        image, source = self._parts.images.resolve(reference, policy)
        self.event(state, container, "Pulled", image.pulled)
        return image, source

    def _image_failed(self, state: PodState, container: ContainerState, failure: ImageFailure) -> None:
        reference = container.spec["image"]
        container.image_failures += 1
        container.delay = min(max(container.delay * 2, FIRST_DELAY), LONGEST_DELAY)
        container.retry_at = time.time() + container.delay
        container.waiting = (failure.reason, str(failure))
        if failure.reason == "InvalidImageName":
            self.event(state, container, "InspectFailed", str(failure), warn=True)
        else:
            self.event(state, container, "Failed", str(failure), warn=True)
        self.event(state, container, "Failed", f"Error: {failure.reason}", warn=True)
        if failure.reason == "ErrImagePull" and container.image_failures > 1:
            self.event(state, container, "BackOff", f'Back-off pulling image "{reference}"')
            container.waiting = ("ImagePullBackOff", f'Back-off pulling image "{reference}": ErrImagePull: {failure}')

    def _waits(self, state: PodState, container: ContainerState, reason: str, message: str) -> None:
        container.waiting = (reason, message)
        container.retry_at = time.time() + FIRST_DELAY
        self.event(state, container, "Failed", f"Error: {message}", warn=True)

    def _start_failed(
        self, state: PodState, container: ContainerState, prepared: Prepared, failure: RuntimeFailure
    ) -> None:
        failed = Container(prepared.record, self._parts.runtime.bundle(prepared.record.id), 0)
        failed.exit = Exit(START_ERROR_CODE, time.time())
        failed.start_error = str(failure)
        failed.ended.set()
        container.current, container.waiting = failed, None
        self.event(state, container, "Failed", f"Error: {failure}", warn=True)

    async def _supersede(self, container: ContainerState) -> None:
        previous, container.previous = container.previous, container.current
        if previous is not None and previous is not container.current:
            await self._parts.runtime.remove(previous)
            await self._parts.spawner.files(_remove_data, previous.record)

    async def _start(self, pod: Object, container: ContainerState, prepared: Prepared) -> Container:
        runtime = self._parts.runtime
        made = await runtime.create(prepared.plan, prepared.record)
        about = f"spec.{'containers' if container.role == 'main' else 'initContainers'}{{{container.name}}}"
        self._parts.recorder.event(pod, "Normal", "Created", "Container created", field_path=about)
        fifo = _open_fifo(made.bundle) if prepared.listens else -1
        try:
            await runtime.start(made)
            self._parts.recorder.event(pod, "Normal", "Started", "Container started", field_path=about)
            if fifo >= 0:
                # So that no Service sends to a server that does not listen yet.
                with suppress(TimeoutError):
                    async with asyncio.timeout(READY_SECONDS):
                        await read_once(fifo, 1)
        finally:
            if fifo >= 0:
                os.close(fifo)
        return made

    async def _prepare(
        self, state: PodState, container: ContainerState, image: Image, source: ImageSource, attempt: int
    ) -> Prepared:
        assert state.sandbox is not None
        parts, pod, spec, sandbox = self._parts, state.pod, container.spec, state.sandbox
        container_id = secrets.token_hex(32)
        variables = await self._variables(state, spec)
        directory = self.data_dir(state) / f"{container.name}_{attempt}"
        bundle = parts.runtime.bundle(container_id)
        who = security.security(pod, spec, image.user)
        listens = standin_ports.is_server(spec, image.id)
        server = (
            standin_ports.config_of(pod, spec, sandbox.addresses[0], parts.config, parts.services) if listens else None
        )
        cwd = spec.get("workingDir") or image.working_dir

        def build() -> tuple[RootFilesystem, str, list[oci.Mount]]:
            _fresh(directory)
            bundle.mkdir(parents=True)
            mounts = _volume_mounts(spec, state.volumes, variables)
            filesystem = source.unpack(image, bundle, directory, [cwd, *(mount.target for mount in mounts)])
            if server is not None:
                write_config(bundle, server)
            if image.standin and not cwd.startswith("/usr/"):
                # The image would have it.
                _make_inside(filesystem.upper, cwd)
            return filesystem, _termination_file(bundle), mounts

        filesystem, termination, volume_mounts = await parts.spawner.files(build)
        target = spec.get("terminationMessagePath") or DEFAULT_TERMINATION_PATH
        files = {mount.target: mount for mount in (*filesystem.mounts, *podfiles.mounts(sandbox))}
        files[target] = oci.Mount(termination, target, recursive=False)
        files |= {mount.target: mount for mount in volume_mounts}
        cgroup = cgroups.container_cgroup(parts.config.cluster, parts.config.name, state.uid, container_id)
        memory = whole(parts.registration.allocatable.get("memory", "1Gi"))
        plan = oci.ContainerPlan(
            id=container_id,
            root=filesystem.root,
            argv=_argv(spec, image, variables),
            environment={
                "PATH": oci.DEFAULT_PATH,
                "HOSTNAME": sandbox.hostname,
                **({"TERM": "xterm"} if spec.get("tty") else {}),
                **image.environment,
                **variables,
            },
            cwd=cwd,
            cgroup=cgroup,
            namespaces=_namespaces(pod, sandbox, parts),
            mounts=list(files.values()),
            overlays=filesystem.overlays,
            root_overlay=filesystem.overlay,
            security=who,
            resources=security.resources(spec),
            sysctls=_sysctls(pod),
            hostname=sandbox.hostname,
            tty=bool(spec.get("tty")),
            oom_score=security.oom_score(qos_class(pod["spec"]), spec, memory),
        )
        record = Record(
            id=container_id,
            pod_uid=state.uid,
            pod_namespace=state.namespace,
            pod_name=state.name,
            container=container.name,
            attempt=attempt,
            init=container.role != "main",
            image=spec["image"],
            image_id=image.id,
            created=time.time(),
            cgroup=cgroup,
            log_path=f"{directory}.log",
            data_dir=str(directory),
            termination_path=termination,
            spec_hash=spec_hash(spec),
        )
        return Prepared(plan, record, listens)

    async def _variables(self, state: PodState, spec: Object) -> dict[str, str]:
        parts, pod = self._parts, state.pod
        links = environment.service_variables(
            parts.services.list(), state.namespace, links=pod["spec"].get("enableServiceLinks", True)
        )
        return await environment.build(
            pod, spec, parts.sources, links, addresses_of(state, parts.config.address), parts.registration.allocatable
        )


def addresses_of(state: PodState, host: str) -> dict[str, Any]:
    """The addresses that the downward API shows."""
    addresses = list(state.sandbox.addresses) if state.sandbox else []
    return {"podIP": addresses[0] if addresses else "", "podIPs": addresses, "hostIP": host, "hostIPs": [host]}


def spec_hash(spec: Object) -> str:
    """Tells two versions of a container apart by what needs a restart: its name and image."""
    return hashlib.sha256(orjson.dumps([spec["name"], spec["image"]])).hexdigest()[:16]


def _argv(spec: Object, image: Image, variables: dict[str, str]) -> list[str]:
    command = [expand(word, variables) for word in spec.get("command") or []]
    arguments = [expand(word, variables) for word in spec.get("args") or []]
    if command:
        return command + arguments
    if image.standin:
        return list(image.command)
    return [*image.entrypoint, *(arguments or image.command)]


def _namespaces(pod: Object, sandbox: Sandbox, parts: NodeParts) -> oci.Namespaces:
    if not sandbox.netns:
        return oci.Namespaces(str(parts.config.namespace), "", "", None if pod["spec"].get("hostPID") else "")
    return oci.Namespaces(
        network=str(namespace_path(sandbox.netns)),
        uts=str(sandbox.path / "uts"),
        ipc=str(sandbox.path / "ipc"),
        pid=None if pod["spec"].get("hostPID") else "",
    )


def _sysctls(pod: Object) -> dict[str, str]:
    spec = pod["spec"]
    if spec.get("hostNetwork"):
        return {}
    own = (spec.get("securityContext") or {}).get("sysctls") or []
    return SYSCTLS | {sysctl["name"]: sysctl["value"] for sysctl in own}


def _volume_mounts(spec: Object, volumes: dict[str, Path], variables: dict[str, str]) -> list[oci.Mount]:
    mounts = []
    for mount in spec.get("volumeMounts") or []:
        if mount["name"] not in volumes:
            raise ConfigFailure(f'cannot find volume "{mount["name"]}" to mount into container "{spec["name"]}"')
        source = volumes[mount["name"]]
        sub = mount.get("subPath") or expand(mount.get("subPathExpr") or "", variables)
        if sub:
            source = _inside(source, sub)
        mounts.append(
            oci.Mount(str(source), os.path.normpath(mount["mountPath"]), read_only=bool(mount.get("readOnly")))
        )
    return mounts


def _inside(volume: Path, sub: str) -> Path:
    source = volume / sub
    if not source.exists():
        source.mkdir(parents=True, exist_ok=True)
    if not source.resolve().is_relative_to(volume.resolve()):
        raise ConfigFailure(f"subPath {sub} leads out of the volume")
    return source.resolve()


def _termination_file(directory: Path) -> str:
    path = directory / "termination-log"
    path.touch()
    path.chmod(0o666)
    return str(path)


def _open_fifo(bundle: Path) -> int:
    fifo = control_directory(bundle) / "ready"
    return os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def _make_inside(upper: Path, cwd: str) -> None:
    if cwd.strip("/") not in STANDARD_DIRECTORIES:
        (upper / cwd.strip("/")).mkdir(parents=True, exist_ok=True)


def _fresh(directory: Path) -> None:
    if directory.exists():
        _remove_tree(directory)
    directory.mkdir(parents=True)


def _remove_data(record: Record) -> None:
    _remove_tree(Path(record.data_dir))
    Path(record.log_path).unlink(missing_ok=True)


def _remove_tree(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
