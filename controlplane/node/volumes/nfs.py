"""nfs: an export that the cluster keeps, else the real server's, where the kernel has an NFS client.

An export is mounted once a node and the part that the volume names is reached from there without following a link out
of it: pods write to exports.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from controlplane.api.types import Object
from controlplane.node.errors import VolumeFailure
from controlplane.node.volumes.context import VolumeContext
from controlplane.node.volumes.mounted import Mounted
from controlplane.node.volumes.staging import EXPORTS, Mount
from netsim import firewall
from netsim.errors import NetsimError
from netsim.exports import Exports
from netsim.mountspace import is_mount_point
from netsim.namespace import entered

_SERVER = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9.:\[\]_-]*")
"""It goes into a path and to a program: no separator in it, and no dash at its beginning."""
_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin"


async def setup(volume: Object, context: VolumeContext) -> Mounted:
    """The export that a pod names itself."""
    return await mount(volume["nfs"], context)


async def mount(source: dict[str, Any], context: VolumeContext, *, options: Sequence[str] = ()) -> Mounted:
    """Mounts `server:/path`."""
    staging = context.storage.staging
    server, path = source.get("server", ""), source.get("path", "")
    exports = Exports(staging.store(EXPORTS))
    try:
        found = await context.spawner.files(exports.find, server, path)
    except NetsimError as error:
        raise VolumeFailure(str(error)) from error
    read_only = bool(source.get("readOnly"))
    if found is None:
        return Mounted(await _mount_real(server, path, context, options), read_only=read_only)
    export, below = found
    top, _ = await staging.mount(Mount(EXPORTS, export.disk), context.pod["metadata"]["uid"])
    if below and not await context.spawner.mounts((top / below).is_dir):
        raise VolumeFailure(_refused(server, path, "No such file or directory"))
    return Mounted(top, sub=below, read_only=read_only)


async def grow(source: dict[str, Any], context: VolumeContext) -> None:
    """Has the file system of a mounted export fill it, where it has a size; raises NetsimError."""
    staging = context.storage.staging
    exports = Exports(staging.store(EXPORTS))
    found = await context.spawner.files(exports.find, source.get("server", ""), source.get("path", ""))
    if found is not None:
        await staging.grow(Mount(EXPORTS, found[0].disk))


async def _mount_real(server: str, path: str, context: VolumeContext, options: Sequence[str]) -> Path:
    program = shutil.which("mount.nfs", path=_PATH)
    if program is None or not _has_client():
        remedy = f"netsim storage export add --name {context.cluster} {server}:{path}"
        said = f"no such export in this cluster, and this host has no NFS client; to make one: {remedy}"
        raise VolumeFailure(_refused(server, path, said))
    if not _SERVER.fullmatch(server):
        raise VolumeFailure(_refused(server, path, "no name or address of a server"))
    target = context.memory / "nfs" / f"{server}-{path.strip('/').replace('/', '-')}"
    network = context.storage.network

    def call() -> None:
        target.mkdir(parents=True, exist_ok=True)
        if not is_mount_point(str(target)):
            # From where the node is, so that a server in the cluster can be reached by its address.
            with entered(network):
                firewall.run(
                    [program, f"{server}:{path}", str(target), *(["-o", ",".join(options)] if options else [])]
                )

    try:
        await context.outside.run(f"{server}:{path}", call)
    except NetsimError as error:
        raise VolumeFailure(str(error)) from error
    return target


def _refused(server: str, path: str, reason: str) -> str:
    return f"mount failed: mount.nfs: mounting {server}:{path} failed, reason given by server: {reason}"


def _has_client() -> bool:
    return any(line.split()[-1] in ("nfs", "nfs4") for line in Path("/proc/filesystems").read_text().splitlines())
