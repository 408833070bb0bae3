"""Seccomp profiles in the form of the OCI runtime configuration.

RuntimeDefault refuses what the default profiles of docker and containerd refuse, under the same capabilities. Theirs
list what is allowed; this one lists what is not, so a system call that is newer than the list passes. The values of
personality(2) are not looked at.
"""

from __future__ import annotations

import platform
from collections.abc import Collection
from pathlib import Path
from typing import Any

import orjson

from controlplane.api.types import Object
from controlplane.node.errors import CreationFailure

_EPERM, _ENOSYS = 1, 38
_AF_VSOCK = 40
_NAMESPACE_FLAGS = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET."""
_LONGEST_PROFILE = 1024 * 1024

_NEVER = (
    *("add_key", "keyctl", "request_key", "kexec_load", "kexec_file_load", "nfsservctl", "swapon", "swapoff", "sysfs"),
    *(
        "_sysctl",
        "uselib",
        "userfaultfd",
        "ustat",
        "vm86",
        "vm86old",
        "create_module",
        "get_kernel_syms",
        "query_module",
    ),
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "move_pages", "pivot_root"),
)
_UNLESS: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (
        ("CAP_SYS_ADMIN",),
        (
            *(
                "mount",
                "umount",
                "umount2",
                "mount_setattr",
                "move_mount",
                "open_tree",
                "fsopen",
                "fsconfig",
                "fsmount",
            ),
            *("fspick", "setns", "unshare", "sethostname", "setdomainname", "quotactl", "quotactl_fd", "fanotify_init"),
            "lookup_dcookie",
        ),
    ),
    (("CAP_SYS_ADMIN", "CAP_BPF"), ("bpf",)),
    (("CAP_SYS_ADMIN", "CAP_PERFMON"), ("perf_event_open",)),
    (("CAP_SYS_ADMIN", "CAP_SYSLOG"), ("syslog",)),
    (("CAP_SYS_BOOT",), ("reboot",)),
    (("CAP_SYS_CHROOT",), ("chroot",)),
    (("CAP_SYS_MODULE",), ("init_module", "finit_module", "delete_module")),
    (("CAP_SYS_PACCT",), ("acct",)),
    (("CAP_SYS_PTRACE",), ("kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv", "process_vm_writev")),
    (("CAP_SYS_RAWIO",), ("iopl", "ioperm")),
    (("CAP_SYS_TIME",), ("settimeofday", "stime", "clock_settime", "clock_settime64")),
    (("CAP_SYS_TTY_CONFIG",), ("vhangup",)),
    (("CAP_SYS_NICE",), ("get_mempolicy", "set_mempolicy", "set_mempolicy_home_node", "mbind")),
    (("CAP_DAC_READ_SEARCH",), ("open_by_handle_at",)),
)
"""Capabilities of which one is enough, and what is refused without."""
_ARCHITECTURES = {
    "x86_64": ("SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"),
    "aarch64": ("SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"),
}


def wanted(pod: Object, container: Object) -> Object:
    """What a container says of its profile, or its pod for it; empty for none."""
    outer, inner = pod["spec"].get("securityContext") or {}, container.get("securityContext") or {}
    if inner.get("privileged"):
        return {}
    return inner.get("seccompProfile") or outer.get("seccompProfile") or {}


def profile_of(pod: Object, container: Object, capabilities: Collection[str], directory: Path) -> dict[str, Any] | None:
    """The profile that a container asks for, or None for none; files of type Localhost are below `directory`.

    CreationFailure when there is no such file, or no profile in it. Blocking file work.
    """
    profile = wanted(pod, container)
    kind = profile.get("type", "Unconfined")
    if kind == "RuntimeDefault":
        return runtime_default(capabilities)
    return _from_file(directory / str(profile.get("localhostProfile") or "")) if kind == "Localhost" else None


def runtime_default(capabilities: Collection[str]) -> dict[str, Any]:
    """The profile RuntimeDefault of a container that has these capabilities."""
    refused = [*_NEVER, *(name for enough, names in _UNLESS if not {*enough} & {*capabilities} for name in names)]
    rules: list[dict[str, Any]] = [_rule(refused, _EPERM)]
    if "CAP_SYS_ADMIN" not in capabilities:
        rules += [_rule(["clone"], _EPERM, value=flag, value_two=flag, op="MASKED_EQ") for flag in _NAMESPACE_FLAGS]
        # Its flags are in memory, where a filter does not see them: libraries then fall back to clone.
        rules.append(_rule(["clone3"], _ENOSYS))
    rules.append(_rule(["socket"], _EPERM, value=_AF_VSOCK, op="EQ"))
    return {
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": list(_ARCHITECTURES.get(platform.machine(), ())),
        "syscalls": rules,
    }


def _rule(names: list[str], errno: int, *, value: int = 0, value_two: int = 0, op: str = "") -> dict[str, Any]:
    rule: dict[str, Any] = {"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": errno}
    if op:
        rule["args"] = [{"index": 0, "value": value, "valueTwo": value_two, "op": f"SCMP_CMP_{op}"}]
    return rule


def _from_file(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            found = orjson.loads(file.read(_LONGEST_PROFILE))
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise CreationFailure(f'cannot load seccomp profile "{path}": open {path}: {reason}') from error
    except orjson.JSONDecodeError as error:
        raise CreationFailure(f'cannot load seccomp profile "{path}": {error}') from error
    if not isinstance(found, dict) or "defaultAction" not in found:
        raise CreationFailure(f'cannot load seccomp profile "{path}": it has no defaultAction')
    return found
