"""The OCI runtime configuration of a container: a pure function from a plan to config.json.

Capabilities, masked and read-only paths, mounts and sysctls are containerd's defaults.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from netsim.capabilities import CAPABILITIES, DEFAULT

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

DEFAULT_CAPABILITIES = tuple(sorted(DEFAULT))

MASKED_PATHS = (
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")

_DEVICE_RULES = [{"allow": False, "access": "rwm"}]
_PSEUDO = ["nosuid", "noexec", "nodev"]


@functools.cache
def held_capabilities() -> tuple[str, ...]:
    """All capabilities that this process may hand on, which is what "all" and "privileged" mean, as in containerd."""
    status = Path("/proc/self/status").read_text()
    bounding = int(status.partition("CapBnd:")[2].split()[0], 16)
    return tuple(name for number, name in enumerate(CAPABILITIES) if bounding >> number & 1)


@dataclass(frozen=True, slots=True)
class Mount:
    """One bind mount: `source` on the host at `target` in the container."""

    source: str
    target: str
    read_only: bool = False
    recursive: bool = True
    options: tuple[str, ...] = ()
    propagation: str = "rprivate"


@dataclass(frozen=True, slots=True)
class Device:
    """A block device: `source` on the host, seen at `target` in the container."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Resources:
    """Limits in the kernel's units; None is no limit. `cpu_quota` is in microseconds per 100 ms."""

    cpu_shares: int = 2
    cpu_quota: int | None = None
    memory_bytes: int | None = None
    pids: int | None = None


@dataclass(frozen=True, slots=True)
class Security:
    """Who the process is and what it may do."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    capabilities: tuple[str, ...] = DEFAULT_CAPABILITIES
    privileged: bool = False
    no_new_privileges: bool = False
    read_only_root: bool = False
    unmasked: bool = False
    seccomp: Mapping[str, Any] | None = None
    apparmor: str = ""


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Paths of the namespaces to join; "" is one of its own, None is the host's."""

    network: str | None
    uts: str | None
    ipc: str | None
    pid: str | None = ""


@dataclass(frozen=True, slots=True)
class ContainerPlan:
    """Everything that the runtime has to know of one container.

    `root_overlay` is the data of an overlay to be mounted on `root` while the container is created.
    `stdin` is kept open for callers who attach; with `stdin_once` it ends with the first of them.
    """

    id: str
    root: Path
    argv: Sequence[str]
    environment: Mapping[str, str]
    cwd: str
    cgroup: str
    namespaces: Namespaces
    mounts: Sequence[Mount] = ()
    devices: Sequence[Device] = ()
    overlays: Sequence[Mapping[str, Any]] = ()
    root_overlay: str = ""
    security: Security = field(default_factory=Security)
    resources: Resources = field(default_factory=Resources)
    sysctls: Mapping[str, str] = field(default_factory=dict)
    hostname: str = ""
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    oom_score: int = 0


def config(
    plan: ContainerPlan, *, unified_cgroup: bool, controllers: Collection[str], device_rules: bool = True
) -> dict[str, Any]:
    """The content of config.json. A limit whose controller is not among `controllers` is left out.

    Where there can be no `device_rules`, CAP_MKNOD goes too: it would give a container the host's disks.
    """
    if not device_rules:
        plan = replace(plan, security=_without_mknod(plan.security))
    document: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": process(plan, plan.argv),
        "root": {"path": str(plan.root), "readonly": plan.security.read_only_root},
        "mounts": _mounts(plan, unified_cgroup=unified_cgroup),
        "linux": _linux(plan, unified_cgroup=unified_cgroup, controllers=controllers),
    }
    if not device_rules:
        del document["linux"]["resources"]["devices"]
    if plan.hostname and plan.namespaces.uts is not None:
        document["hostname"] = plan.hostname
    return document


def process(plan: ContainerPlan, argv: Sequence[str], *, tty: bool | None = None) -> dict[str, Any]:
    """The process part, for the container's own process or for one executed in it."""
    security = plan.security
    capabilities = held_capabilities() if security.privileged else security.capabilities
    granted = {"bounding": capabilities}
    if security.uid == 0:
        granted |= {"effective": capabilities, "permitted": capabilities}
    profile = {"apparmorProfile": security.apparmor} if security.apparmor else {}
    return {
        **profile,
        "terminal": plan.tty if tty is None else tty,
        "user": {"uid": security.uid, "gid": security.gid, "additionalGids": security.groups},
        "args": argv,
        "env": [f"{name}={value}" for name, value in plan.environment.items()],
        "cwd": plan.cwd,
        "capabilities": granted,
        "noNewPrivileges": security.no_new_privileges,
        "oomScoreAdj": plan.oom_score,
    }


def _without_mknod(security: Security) -> Security:
    kept = tuple(name for name in security.capabilities if name != "CAP_MKNOD")
    return replace(security, capabilities=kept)


def _linux(plan: ContainerPlan, *, unified_cgroup: bool, controllers: Collection[str]) -> dict[str, Any]:
    paths = {
        "network": plan.namespaces.network,
        "uts": plan.namespaces.uts,
        "ipc": plan.namespaces.ipc,
        "pid": plan.namespaces.pid,
    }
    spaces = [{"type": kind} | ({"path": path} if path else {}) for kind, path in paths.items() if path is not None]
    if unified_cgroup and not plan.security.privileged:
        spaces.append({"type": "cgroup"})
    linux: dict[str, Any] = {
        "namespaces": [*spaces, {"type": "mount"}],
        "cgroupsPath": plan.cgroup,
        "resources": _resources(plan, controllers),
    }
    if plan.devices:
        linux["devices"] = [_device(device) for device in plan.devices]
    propagations = {mount.propagation for mount in plan.mounts}
    if propagations & {"rslave", "rshared"}:
        # Else the runtime makes everything private before it mounts anything.
        linux["rootfsPropagation"] = "rshared" if "rshared" in propagations else "rslave"
    if plan.security.seccomp is not None:
        linux["seccomp"] = plan.security.seccomp
    if plan.sysctls:
        linux["sysctl"] = plan.sysctls
    if not plan.security.privileged and not plan.security.unmasked:
        linux |= {"maskedPaths": MASKED_PATHS, "readonlyPaths": READONLY_PATHS}
    return linux


def _resources(plan: ContainerPlan, controllers: Collection[str]) -> dict[str, Any]:
    limits, found = plan.resources, dict[str, Any]()
    if "cpu" in controllers:
        found["cpu"] = {"shares": limits.cpu_shares}
    if plan.security.privileged:
        found["devices"] = [{"allow": True, "access": "rwm"}]
    else:
        found["devices"] = [*_DEVICE_RULES, *(_device_rule(device) for device in plan.devices)]
    if limits.cpu_quota is not None and "cpu" in controllers:
        found["cpu"] |= {"quota": limits.cpu_quota, "period": 100_000}
    if limits.memory_bytes is not None and "memory" in controllers:
        found["memory"] = {"limit": limits.memory_bytes, "swap": limits.memory_bytes}
    if limits.pids is not None and "pids" in controllers:
        found["pids"] = {"limit": limits.pids}
    return found


def _device(device: Device) -> dict[str, Any]:
    number = os.stat(device.source).st_rdev
    mode = 0o440 if device.read_only else 0o660
    return {
        "type": "b",
        "path": device.target,
        "major": os.major(number),
        "minor": os.minor(number),
        "fileMode": mode,
        "uid": 0,
        "gid": 0,
    }


def _device_rule(device: Device) -> dict[str, Any]:
    number = os.stat(device.source).st_rdev
    access = "rm" if device.read_only else "rwm"
    return {"allow": True, "type": "b", "major": os.major(number), "minor": os.minor(number), "access": access}


def _mounts(plan: ContainerPlan, *, unified_cgroup: bool) -> list[dict[str, Any]]:
    privileged = plan.security.privileged
    mounts: list[dict[str, Any]] = [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": _PSEUDO},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": _PSEUDO},
        {
            "destination": "/sys",
            "type": "sysfs",
            "source": "sysfs",
            "options": _PSEUDO if privileged else [*_PSEUDO, "ro"],
        },
    ]
    if unified_cgroup:
        options = [*_PSEUDO, "relatime"] if privileged else [*_PSEUDO, "relatime", "ro"]
        mounts.append({"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": options})
    mounts += [dict(overlay) for overlay in plan.overlays]
    # Parents before children, whatever order the manifest has them in.
    for mount in sorted(plan.mounts, key=lambda m: m.target.count("/")):
        bind = "rbind" if mount.recursive else "bind"
        options = [bind, mount.propagation, "ro" if mount.read_only else "rw", *mount.options]
        mounts.append({"destination": mount.target, "type": "bind", "source": mount.source, "options": options})
    return mounts
