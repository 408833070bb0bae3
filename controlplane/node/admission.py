"""What a node refuses to run at all: the kubelet's last word on a pod that is bound to it.

A refused pod is Failed with a reason and stays in the API, as upstream.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from controlplane.api.types import Object

SAFE_SYSCTLS = frozenset(
    (
        *("kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies"),
        *("net.ipv4.ping_group_range", "net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports"),
        *("net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl"),
        *("net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"),
    )
)
"""What a kubelet lets any pod set; the others it forbids unless it is told."""
APPARMOR_ENABLED = Path("/sys/module/apparmor/parameters/enabled")
APPARMOR_PROFILES = Path("/sys/kernel/security/apparmor/profiles")
_DEFAULT_PROFILES = ("cri-containerd.apparmor.d", "docker-default", "crio-default", "containers-default")

_LISTS = ("initContainers", "containers", "ephemeralContainers")


def refusal(pod: Object) -> tuple[str, str] | None:
    """Reason and message for which a node does not run a pod, or None."""
    context = pod["spec"].get("securityContext") or {}
    for sysctl in context.get("sysctls") or []:
        if sysctl["name"].replace("/", ".") not in SAFE_SYSCTLS:
            return "SysctlForbidden", f'forbidden sysctl: "{sysctl["name"]}" not allowlisted'
    for profile in _apparmor_profiles(pod["spec"]):
        try:
            apparmor_profile(profile)
        except LookupError as error:
            return "AppArmor", f"Cannot enforce AppArmor: {error.args[0]}"
    return None


def apparmor_profile(profile: Object) -> str:
    """What the kernel calls a profile, "" for none; LookupError with upstream's words where it has no such one."""
    if profile.get("type") == "Unconfined":
        return ""
    if not _apparmor_enabled():
        raise LookupError("AppArmor is not enabled on the host")
    loaded = _loaded_profiles()
    if profile.get("type") == "RuntimeDefault":
        default = next((name for name in loaded if name.startswith(_DEFAULT_PROFILES)), None)
        if default is None:
            raise LookupError("no default profile of a container runtime is loaded")
        return default
    name = str(profile.get("localhostProfile") or "")
    if name not in loaded:
        raise LookupError(f'profile "{name}" is not loaded')
    return name


def _apparmor_profiles(spec: Object) -> Iterator[dict[str, Any]]:
    for where in (spec, *(container for name in _LISTS for container in spec.get(name) or [])):
        profile = (where.get("securityContext") or {}).get("appArmorProfile")
        if profile:
            yield profile


def _apparmor_enabled() -> bool:
    with suppress(OSError):
        return APPARMOR_ENABLED.read_text().startswith("Y")
    return False


def _loaded_profiles() -> list[str]:
    with suppress(OSError):
        return [line.rpartition(" (")[0] for line in APPARMOR_PROFILES.read_text().splitlines()]
    return []
