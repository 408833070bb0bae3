"""Sandboxes: the namespaces that the containers of a pod share, pinned without a process in them.

A file per sandbox says what was made, and is written before it is made. So a daemon that was killed in between
leaves nothing that its successor cannot find, and a complete one is taken over as it is.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Container
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ParamSpec, TypeVar

import orjson

from cni.errors import CniError
from controlplane.api.types import Object
from controlplane.node.config import NodeConfig
from controlplane.node.errors import ConfigFailure
from controlplane.node.network import PodNetwork
from controlplane.node.runtime import cgroups
from netsim.errors import NetsimError
from netsim.mark import Mark
from netsim.namespace import NamespaceExecutor, delete_namespace, ensure_namespace, exists, namespace_path

log = logging.getLogger(__name__)

Argument = TypeVar("Argument")
P = ParamSpec("P")
Result = TypeVar("Result")

FILE = "sandbox.json"
LONGEST_NAME = 200
HOSTNAME_LENGTH = 63
LONGEST_NODENAME = 64
"""Of the kernel."""


@dataclass(frozen=True, slots=True)
class Sandbox:
    """`netns` is the name under /run/netns, "" for a pod on the node's own network.

    `created` is in epoch seconds. `addresses` are empty until the network is attached.
    """

    id: str
    pod_uid: str
    pod_namespace: str
    pod_name: str
    netns: str
    hostname: str
    directory: str
    created: float
    addresses: tuple[str, ...] = ()
    full_name: str = ""

    @property
    def nodename(self) -> str:
        """What `hostname` prints: with setHostnameAsFQDN the full name."""
        return self.full_name or self.hostname

    @property
    def path(self) -> Path:
        """The files of the sandbox: uts, ipc, hosts, hostname, resolv.conf, shm."""
        return Path(self.directory)


def hostname_of(pod: Object, node: str) -> str:
    """The pod's own name, without a domain."""
    spec = pod["spec"]
    if spec.get("hostNetwork"):
        return node
    if spec.get("hostnameOverride"):
        return str(spec["hostnameOverride"])
    name: str = spec.get("hostname") or pod["metadata"]["name"]
    return name[:HOSTNAME_LENGTH].rstrip("-.")


def full_name_of(pod: Object, hostname: str, domain: str) -> str:
    """The name with its domain for a pod that wants it as its host name, else ""; ConfigFailure if it is too long."""
    spec = pod["spec"]
    if not spec.get("setHostnameAsFQDN") or spec.get("hostNetwork") or not spec.get("subdomain"):
        return ""
    name = f"{hostname}.{spec['subdomain']}.{pod['metadata']['namespace']}.svc.{domain}"
    if len(name) > LONGEST_NODENAME:
        raise ConfigFailure(
            f"Failed to construct FQDN from Pod hostname and cluster domain, FQDN {name} is too long "
            f"({LONGEST_NODENAME} characters is the max, {len(name)} characters requested)"
        )
    return name


class Sandboxes:
    """The sandboxes of one node."""

    def __init__(self, config: NodeConfig, network: PodNetwork) -> None:
        self._config = config
        self._executor: NamespaceExecutor | None = None
        self._attaching: NamespaceExecutor | None = None
        self._network = network
        self._directory = config.run / "sandboxes"

    @property
    def executor(self) -> NamespaceExecutor:
        """The thread in the node's namespace, from `open` to `close`; for what is done at once, such as sockets."""
        assert self._executor is not None, "only while the agent runs"
        return self._executor

    def open(self) -> None:
        """Has threads in the node's namespace: one of them for the network, which may take its time with a pod."""
        name = self._config.name
        self._executor = NamespaceExecutor(self._config.namespace, f"node-{name}")
        self._attaching = NamespaceExecutor(self._config.namespace, f"network-{name}")

    async def create(self, pod: Object, created: float) -> Sandbox:
        """Namespaces and network of a pod; raises the errors of netsim and CNI, and leaves nothing then."""
        metadata = pod["metadata"]
        uid, host = metadata["uid"], bool(pod["spec"].get("hostNetwork"))
        name = f"{self._config.cluster}-{metadata['namespace']}-{metadata['name']}"[:LONGEST_NAME]
        hostname = hostname_of(pod, self._config.name)
        sandbox = Sandbox(
            id=uid.replace("-", ""),
            pod_uid=uid,
            pod_namespace=metadata["namespace"],
            pod_name=metadata["name"],
            netns="" if host else f"{name}-{uid[:5]}",
            hostname=hostname,
            full_name=full_name_of(pod, hostname, self._config.dns_domain),
            directory=str(self._directory / uid),
            created=created,
        )
        return await self._slowly(self._make, sandbox, pod)

    async def remove(self, uid: str) -> None:
        """Detaches the network and removes everything of a pod's sandbox, whole or half made; absent is no error."""
        await self._slowly(self._remove, uid)

    async def adopt(self, present: Container[str]) -> list[Sandbox]:
        """The sandboxes that an earlier daemon left whole, and of pods that are not `present` also others: those are
        to be removed. Others of pods that are present are removed, or made again over what is left of them."""
        found = []
        for directory in sorted(self._directory.iterdir()) if self._directory.exists() else []:
            sandbox = _read(directory)
            if sandbox is None:
                shutil.rmtree(directory, ignore_errors=True)
            elif sandbox.pod_uid not in present or _is_whole(sandbox):
                found.append(sandbox)
            else:
                await self._try(f"remove sandbox of {sandbox.pod_namespace}/{sandbox.pod_name}", self._unmake, sandbox)
        await self._try("release unused addresses", self._network.collect, [sandbox.id for sandbox in found])
        return found

    async def close(self) -> None:
        """Lets go of the network and of the node's threads, until `open`; the sandboxes stay."""
        threads = [thread for thread in (self._executor, self._attaching) if thread is not None]
        if self._attaching is not None:
            self._attaching.submit(self._network.close)
        self._executor = self._attaching = None
        for thread in threads:
            await asyncio.to_thread(thread.close)

    async def _slowly(self, function: Callable[P, Result], *arguments: P.args, **options: P.kwargs) -> Result:
        assert self._attaching is not None, "only while the agent runs"
        return await self._attaching.run(function, *arguments, **options)

    async def _try(self, what: str, function: Callable[[Argument], None], argument: Argument) -> None:
        """Does what may be left undone: whoever wants the sandbox or its address again tries again."""
        try:
            await self._slowly(function, argument)
        except (NetsimError, CniError, OSError) as error:
            log.warning("left from an earlier daemon", extra={"task": what, "error": str(error)})

    def _make(self, sandbox: Sandbox, pod: Object) -> Sandbox:
        sandbox.path.mkdir(parents=True, exist_ok=True)
        _write(sandbox)
        try:
            if sandbox.netns:
                mark = Mark(self._config.cluster, "pod", f"{sandbox.pod_namespace}/{sandbox.pod_name}"[:LONGEST_NAME])
                ensure_namespace(sandbox.netns, mark, pin_dir=sandbox.path, hostname=sandbox.nodename)
                addresses = self._network.attach(sandbox.id, namespace_path(sandbox.netns), pod)
            else:
                addresses = [self._config.address]
        except BaseException:
            self._unmake(sandbox)
            raise
        done = replace(sandbox, addresses=tuple(addresses))
        _write(done)
        return done

    def _remove(self, uid: str) -> None:
        sandbox = _read(self._directory / uid)
        if sandbox is not None:
            self._unmake(sandbox)

    def _unmake(self, sandbox: Sandbox) -> None:
        if sandbox.netns:
            path = namespace_path(sandbox.netns)
            # In this order: an interface whose namespace has gone goes by itself. To delete it from a living one takes
            # the kernel 25 ms, in which nobody on this host can change a link.
            delete_namespace(sandbox.netns, pin_dir=sandbox.path)
            self._network.detach(sandbox.id, path, sandbox.pod_namespace, sandbox.pod_name)
        cgroups.remove(cgroups.pod_cgroup(self._config.cluster, self._config.name, sandbox.pod_uid))
        shutil.rmtree(sandbox.path, ignore_errors=True)


def _is_whole(sandbox: Sandbox) -> bool:
    return bool(sandbox.addresses) and (not sandbox.netns or exists(sandbox.netns))


def left_in(config: NodeConfig) -> list[Sandbox]:
    """The sandboxes, whole or not, that a node's run directory tells of."""
    found = (_read(directory) for directory in sorted((config.run / "sandboxes").glob("*")))
    return [sandbox for sandbox in found if sandbox is not None]


def _write(sandbox: Sandbox) -> None:
    path = sandbox.path / FILE
    fresh = path.with_suffix(".new")
    fresh.write_bytes(orjson.dumps(asdict(sandbox)))
    fresh.rename(path)


def _read(directory: Path) -> Sandbox | None:
    with suppress(FileNotFoundError, NotADirectoryError, orjson.JSONDecodeError, TypeError, KeyError):
        data = orjson.loads((directory / FILE).read_bytes())
        return Sandbox(**data | {"addresses": tuple(data["addresses"])})
    return None
