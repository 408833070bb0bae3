"""From a pod's manifest to what the runtime is told of one container: bundle, root, mounts, environment, limits."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from controlplane.api.quantity import whole
from controlplane.api.rules.qos import qos_class
from controlplane.api.types import Object
from controlplane.node import admission, container_mounts, environment, seccomp, security, signals, standin_ports
from controlplane.node.errors import ConfigFailure, CreationFailure
from controlplane.node.images.standin import StandInConfig, write_config
from controlplane.node.images.store import Image, ImageSource, RootFilesystem
from controlplane.node.parts import NodeParts
from controlplane.node.runtime import cgroups, oci
from controlplane.node.runtime.record import Record
from controlplane.node.sandbox import Sandbox
from controlplane.node.state import ContainerState, PodState
from controlplane.node.subpath import SubPath
from controlplane.node.values import expand
from netsim.namespace import namespace_path

SYSCTLS = {"net.ipv4.ip_unprivileged_port_start": "0", "net.ipv4.ping_group_range": "0 2147483647"}
"""What containerd sets, so that ping and low ports need no privilege."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is to be run; `listens` when it is the stand-in server, which says when its ports are open.

    `parts` of volumes are bound for it until `Planner.release`, which comes once the container is created.
    """

    plan: oci.ContainerPlan
    record: Record
    listens: bool
    parts: Sequence[SubPath]


@dataclass(frozen=True, slots=True)
class _Attempt:
    """The container that is to be run: of which manifest, from which image, the how many-th, under which id."""

    state: PodState
    container: ContainerState
    image: Image
    number: int
    id: str


@dataclass(frozen=True, slots=True)
class _Files:
    """What was made on disk for one container."""

    filesystem: RootFilesystem
    termination: str
    volume_mounts: list[oci.Mount]
    parts: list[SubPath]


class Planner:
    """Prepares containers of one node's pods."""

    def __init__(self, parts: NodeParts) -> None:
        self._parts = parts

    def data_dir(self, state: PodState) -> Path:
        """Where the pod's files are that outlive a reboot."""
        return self._parts.config.pods / state.uid

    async def prepare(
        self, state: PodState, container: ContainerState, image: Image, source: ImageSource, attempt: int
    ) -> Prepared:
        """Makes the files of a container and says how to run it; raises ConfigFailure and other NodeErrors."""
        wanted = _Attempt(state, container, image, attempt, secrets.token_hex(32))
        bundle = self._parts.runtime.bundle(wanted.id)
        try:
            prepared = await self._prepare(wanted, source)
            await self._bind(prepared)
        except BaseException:
            await self._parts.spawner.files(shutil.rmtree, bundle, ignore_errors=True)
            raise
        return prepared

    def release(self, prepared: Prepared) -> None:
        """Lets go of what was bound for the container's creation."""
        for part in prepared.parts:
            self._parts.spawner.unmount(str(part.target))

    async def _bind(self, prepared: Prepared) -> None:
        try:
            for part in prepared.parts:
                await self._parts.spawner.inside(part.bind)
        except BaseException:
            self.release(prepared)
            raise

    async def _prepare(self, wanted: _Attempt, source: ImageSource) -> Prepared:
        spec, image = wanted.container.spec, wanted.image
        variables = await self._variables(wanted.state, spec)
        who = await self._identity(wanted.state.pod, spec, image, source)
        server = self._server(wanted.state, spec, image)
        try:
            files = await self._parts.spawner.files(self._make, wanted, source, variables, server)
        except OSError as error:
            raise CreationFailure(f"failed to make the files of the container: {error}") from error
        record = self._record(wanted, files, who)
        return Prepared(
            self._plan(wanted, files, who, variables), record, listens=server is not None, parts=files.parts
        )

    def _make(
        self, wanted: _Attempt, source: ImageSource, variables: dict[str, str], server: StandInConfig | None
    ) -> _Files:
        """The directories and files of a container, on disk; blocking."""
        spec, bundle = wanted.container.spec, self._parts.runtime.bundle(wanted.id)
        cwd, directory = working_directory(spec, wanted.image), self._directory(wanted)
        _fresh(directory)
        bundle.mkdir(parents=True)
        mounts, parts = container_mounts.of_volumes(spec, wanted.state, variables, bundle / "parts")
        filesystem = source.unpack(wanted.image, bundle, directory, [cwd, *(mount.target for mount in mounts)])
        if server is not None:
            write_config(bundle, server)
        return _Files(filesystem, _termination_file(bundle), mounts, parts)

    def _directory(self, wanted: _Attempt) -> Path:
        return self.data_dir(wanted.state) / f"{wanted.container.name}_{wanted.number}"

    def _record(self, wanted: _Attempt, files: _Files, who: oci.Security) -> Record:
        state, container, image, config = wanted.state, wanted.container, wanted.image, self._parts.config
        directory, hooks = self._directory(wanted), container.spec.get("lifecycle") or {}
        return Record(
            id=wanted.id,
            pod_uid=state.uid,
            pod_namespace=state.namespace,
            pod_name=state.name,
            container=container.name,
            attempt=wanted.number,
            init=container.role in ("init", "sidecar"),
            image=image.reference,
            image_id=image.id,
            created=time.time(),
            cgroup=cgroups.container_cgroup(config.cluster, config.name, state.uid, wanted.id),
            log_path=f"{directory}.log",
            data_dir=str(directory),
            termination_path=files.termination,
            spec_hash=spec_hash(container.spec),
            stop_signal=signals.number_of(hooks.get("stopSignal") or image.stop_signal),
            runtime=self._parts.spawner.runtime_name,
            user=(who.uid, who.gid, *who.groups),
        )

    def _plan(self, wanted: _Attempt, files: _Files, who: oci.Security, variables: dict[str, str]) -> oci.ContainerPlan:
        state, spec, image, config = wanted.state, wanted.container.spec, wanted.image, self._parts.config
        found = files.filesystem
        return oci.ContainerPlan(
            id=wanted.id,
            root=found.root,
            argv=_argv(spec, image, variables),
            environment=self._environment(state, spec, image) | variables,
            cwd=working_directory(spec, image),
            cgroup=cgroups.container_cgroup(config.cluster, config.name, state.uid, wanted.id),
            namespaces=_namespaces(state, wanted.container, self._parts),
            mounts=container_mounts.merged(state, spec, found.mounts, files.volume_mounts, files.termination),
            devices=container_mounts.devices(spec, state),
            overlays=found.overlays,
            root_overlay=found.overlay,
            security=who,
            resources=security.resources(spec),
            sysctls=_sysctls(state.pod),
            hostname=_sandbox(state).nodename,
            tty=bool(spec.get("tty")),
            stdin=bool(spec.get("stdin")),
            stdin_once=bool(spec.get("stdinOnce")),
            oom_score=self._oom_score(state, spec),
        )

    async def _identity(self, pod: Object, spec: Object, image: Image, source: ImageSource) -> oci.Security:
        files = self._parts.spawner.files
        # What a stand-in and most manifests have needs no file, and so no thread.
        accounts = None if image.standin else await files(source.accounts, image)
        who = security.security(pod, spec, image.user, accounts)
        if seccomp.wanted(pod, spec):
            profiles = self._parts.config.state_directory / "seccomp"
            who = replace(who, seccomp=await files(seccomp.profile_of, pod, spec, who.capabilities, profiles))
        profile = _apparmor(pod, spec)
        return replace(who, apparmor=profile) if profile else who

    def _server(self, state: PodState, spec: Object, image: Image) -> StandInConfig | None:
        if not standin_ports.is_server(spec, image.id):
            return None
        address = _sandbox(state).addresses[0]
        return standin_ports.config_of(state.pod, spec, address, self._parts.config, self._parts.services)

    def _environment(self, state: PodState, spec: Object, image: Image) -> dict[str, str]:
        terminal = {"TERM": "xterm"} if spec.get("tty") else {}
        return {"PATH": oci.DEFAULT_PATH, "HOSTNAME": _sandbox(state).nodename, **terminal, **image.environment}

    def _oom_score(self, state: PodState, spec: Object) -> int:
        memory = whole(self._parts.registration.allocatable.get("memory", "1Gi"))
        return security.oom_score(qos_class(state.pod["spec"]), spec, memory)

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


def working_directory(spec: Object, image: Image) -> str:
    """Where the container's program begins. The OCI runtime makes it, inside the root, where it is not there."""
    cwd = str(spec.get("workingDir") or image.working_dir)
    if ".." in cwd.split("/") or "\0" in cwd:
        raise ConfigFailure(f"the working directory {cwd!r} must not contain '..'")
    return os.path.normpath(cwd)


def spec_hash(spec: Object) -> str:
    """Tells two versions of a container apart by what needs a restart: its name and image."""
    return hashlib.sha256(orjson.dumps([spec["name"], spec["image"]])).hexdigest()[:16]


def _argv(spec: Object, image: Image, variables: dict[str, str]) -> list[str]:
    command = [expand(word, variables) for word in spec.get("command") or []]
    arguments = [expand(word, variables) for word in spec.get("args") or []]
    if command or (image.standin and standin_ports.runs_program(spec)):
        return command + arguments or ["sh"]
    if image.standin:
        return list(image.command)
    words = [*image.entrypoint, *(arguments or image.command)]
    if not words:
        raise CreationFailure("failed to generate container spec: no command specified")
    return words


def _apparmor(pod: Object, spec: Object) -> str:
    outer, inner = pod["spec"].get("securityContext") or {}, spec.get("securityContext") or {}
    profile = inner.get("appArmorProfile") or outer.get("appArmorProfile")
    if not profile or inner.get("privileged"):
        return ""
    try:
        return admission.apparmor_profile(profile)
    except LookupError as error:
        raise CreationFailure(f"failed to apply AppArmor: {error.args[0]}") from error


def _sandbox(state: PodState) -> Sandbox:
    assert state.sandbox is not None
    return state.sandbox


def _namespaces(state: PodState, container: ContainerState, parts: NodeParts) -> oci.Namespaces:
    pod, sandbox = state.pod, _sandbox(state)
    pid = None if pod["spec"].get("hostPID") else _process_namespace(state, container)
    if not sandbox.netns:
        ipc = None if pod["spec"].get("hostIPC") else ""
        return oci.Namespaces(str(parts.config.namespace), "", ipc, pid)
    return oci.Namespaces(
        network=str(namespace_path(sandbox.netns)),
        uts=str(sandbox.path / "uts"),
        ipc=None if pod["spec"].get("hostIPC") else str(sandbox.path / "ipc"),
        pid=pid,
    )


def _process_namespace(state: PodState, container: ContainerState) -> str:
    """The process namespace that the pod shares, or of an ephemeral container's target; "" for one of its own."""
    if state.pause is not None:
        return f"/proc/{state.pause.pid}/ns/pid"
    name = container.spec.get("targetContainerName")
    if not name:
        return ""
    target = state.containers.get(name)
    if target is None or target.current is None or not target.running:
        raise ConfigFailure(f"unable to find target container {name}")
    return f"/proc/{target.current.pid}/ns/pid"


def _sysctls(pod: Object) -> dict[str, str]:
    spec = pod["spec"]
    if spec.get("hostNetwork"):
        return {}
    own = (spec.get("securityContext") or {}).get("sysctls") or []
    return SYSCTLS | {sysctl["name"]: sysctl["value"] for sysctl in own}


def _termination_file(directory: Path) -> str:
    path = directory / "termination-log"
    path.touch()
    path.chmod(0o666)
    return str(path)


def _fresh(directory: Path) -> None:
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
