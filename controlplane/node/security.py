"""A container's security context and resources, in the runtime's terms."""

from __future__ import annotations

from controlplane.api.quantity import milli, whole
from controlplane.api.types import Object
from controlplane.node.errors import ConfigFailure
from controlplane.node.images.accounts import Accounts
from controlplane.node.runtime.oci import DEFAULT_CAPABILITIES, Resources, Security, held_capabilities

CPU_PERIOD = 100_000
SMALLEST_QUOTA = 1000
SMALLEST_SHARES = 2
PIDS_LIMIT = 4096
"""Of a container, so that a fork bomb in one pod does not end the host."""

OOM_GUARANTEED, OOM_BEST_EFFORT, OOM_SYSTEM = -997, 1000, -998


def security(pod: Object, container: Object, user: str, accounts: Accounts | None = None) -> Security:
    """securityContext of pod and container over the image's user, whom `accounts` of the image explain.

    ConfigFailure as upstream's verification of runAsNonRoot; CreationFailure for a user whom the image does not know.
    """
    outer, inner = pod["spec"].get("securityContext") or {}, container.get("securityContext") or {}
    _verify_non_root(pod, container, user)
    known = accounts or Accounts()
    wanted = inner.get("runAsUser", outer.get("runAsUser"))
    account = known.of_user(user) if wanted is None else known.of_number(int(wanted))
    gid = int(inner.get("runAsGroup", outer.get("runAsGroup", account.gid)))
    # Also as a further group, so that files of the group stay closed to nobody by a negative mode (CVE-2023-25173).
    groups = [gid, *(int(group) for group in outer.get("supplementalGroups") or [])]
    if outer.get("supplementalGroupsPolicy") != "Strict":
        groups += account.groups
    if outer.get("fsGroup") is not None:
        groups.append(int(outer["fsGroup"]))
    return Security(
        uid=account.uid,
        gid=gid,
        groups=tuple(dict.fromkeys(groups)),
        capabilities=_capabilities(inner.get("capabilities") or {}),
        privileged=bool(inner.get("privileged")),
        no_new_privileges=inner.get("allowPrivilegeEscalation") is False,
        read_only_root=bool(inner.get("readOnlyRootFilesystem")),
        unmasked=inner.get("procMount") == "Unmasked",
    )


def _verify_non_root(pod: Object, container: Object, user: str) -> None:
    """runAsNonRoot, in the kubelet's words; a user by name may be root under another one, so it does not pass."""
    outer, inner = pod["spec"].get("securityContext") or {}, container.get("securityContext") or {}
    if not inner.get("runAsNonRoot", outer.get("runAsNonRoot", False)):
        return
    metadata = pod["metadata"]
    uid = metadata.get("uid", "")
    where = f'(pod: "{metadata.get("name")}_{metadata.get("namespace")}({uid})", container: {container.get("name")})'
    wanted = inner.get("runAsUser", outer.get("runAsUser"))
    name = user.partition(":")[0]
    if wanted is not None:
        if int(wanted) == 0:
            raise ConfigFailure(f"container's runAsUser breaks non-root policy {where}")
    elif not name or (name.isdigit() and int(name) == 0):
        raise ConfigFailure(f"container has runAsNonRoot and image will run as root {where}")
    elif not name.isdigit():
        raise ConfigFailure(
            f"container has runAsNonRoot and image has non-numeric user ({name}), "
            f"cannot verify user is non-root {where}"
        )


def _capabilities(wanted: Object) -> tuple[str, ...]:
    add, drop = ([_capability(name) for name in wanted.get(key) or []] for key in ("add", "drop"))
    base: tuple[str, ...] = () if "CAP_ALL" in drop else DEFAULT_CAPABILITIES
    if "CAP_ALL" in add:
        base = held_capabilities()
    kept = [name for name in base if name not in drop]
    return tuple(dict.fromkeys([*kept, *(name for name in add if name != "CAP_ALL")]))


def _capability(name: str) -> str:
    upper = name.upper()
    return upper if upper.startswith("CAP_") else f"CAP_{upper}"


def resources(container: Object) -> Resources:
    """Requests and limits as cgroup values, by the kubelet's formulas."""
    declared = container.get("resources") or {}
    limits, requests = declared.get("limits") or {}, declared.get("requests") or {}
    cpu = requests.get("cpu", limits.get("cpu"))
    shares = max(SMALLEST_SHARES, milli(cpu) * 1024 // 1000) if cpu is not None else SMALLEST_SHARES
    quota = max(SMALLEST_QUOTA, milli(limits["cpu"]) * CPU_PERIOD // 1000) if "cpu" in limits else None
    memory = whole(limits["memory"]) if "memory" in limits else None
    return Resources(cpu_shares=shares, cpu_quota=quota, memory_bytes=memory or None, pids=PIDS_LIMIT)


def oom_score(qos: str, container: Object, node_memory: int) -> int:
    """The kubelet's oom_score_adj for a container of a pod of this class."""
    if qos == "Guaranteed":
        return OOM_GUARANTEED
    if qos == "BestEffort":
        return OOM_BEST_EFFORT
    requests = (container.get("resources") or {}).get("requests") or {}
    request = whole(requests.get("memory", "0"))
    return min(max(1000 - 1000 * request // node_memory, 1000 + OOM_GUARANTEED), OOM_BEST_EFFORT - 1)
