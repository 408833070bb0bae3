from __future__ import annotations

import subprocess

import pytest

from controlplane.node.errors import ConfigFailure, CreationFailure
from controlplane.node.images.accounts import Accounts
from controlplane.node.runtime.oci import DEFAULT_CAPABILITIES, held_capabilities
from controlplane.node.security import oom_score, resources, security


def _pod(**context: object) -> dict[str, object]:
    return {"metadata": {"name": "p", "namespace": "d", "uid": "u"}, "spec": {"securityContext": context}}


def test_the_container_overrules_the_pod_and_both_the_image() -> None:
    pod = _pod(runAsUser=1000, runAsGroup=1000, fsGroup=2000, supplementalGroups=[3000])
    found = security(pod, {"securityContext": {"runAsUser": 5}}, "7:8")
    assert (found.uid, found.gid, found.groups) == (5, 1000, (1000, 3000, 2000))
    assert security(_pod(), {}, "7:8").uid == 7


def test_run_as_non_root_is_verified() -> None:
    with pytest.raises(ConfigFailure, match="container has runAsNonRoot and image will run as root"):
        security(_pod(runAsNonRoot=True), {}, "")
    assert security(_pod(runAsNonRoot=True), {"securityContext": {"runAsUser": 1}}, "").uid == 1
    with pytest.raises(ConfigFailure, match="container's runAsUser breaks non-root policy"):
        security(_pod(runAsNonRoot=True, runAsUser=0), {}, "7")
    where = r'\(pod: "p_d\(u\)", container: c\)'
    with pytest.raises(ConfigFailure, match=rf"non-numeric user \(bob\), cannot verify user is non-root {where}"):
        security(_pod(runAsNonRoot=True), {"name": "c"}, "bob")


def test_an_image_s_users_have_names_and_groups() -> None:
    accounts = Accounts({"root": (0, 0), "bob": (7, 8)}, {"wheel": 9}, {"bob": (9,)})
    found = security(_pod(), {}, "bob", accounts)
    assert (found.uid, found.gid, found.groups) == (7, 8, (8, 9))
    assert security(_pod(), {}, "bob:wheel", accounts).gid == 9
    assert security(_pod(runAsUser=7), {}, "", accounts).groups == (8, 9)
    assert security(_pod(runAsUser=7, supplementalGroupsPolicy="Strict"), {}, "", accounts).groups == (8,)
    with pytest.raises(CreationFailure, match="unable to find user eve: no matching entries in passwd file"):
        security(_pod(), {}, "eve", accounts)


def test_capabilities_are_added_and_dropped() -> None:
    def of(**wanted: list[str]) -> tuple[str, ...]:
        return security(_pod(), {"securityContext": {"capabilities": wanted}}, "").capabilities

    assert of() == DEFAULT_CAPABILITIES
    assert of(drop=["ALL"]) == ()
    assert of(drop=["ALL"], add=["NET_BIND_SERVICE"]) == ("CAP_NET_BIND_SERVICE",)
    assert "CAP_NET_ADMIN" in of(add=["net_admin"])
    assert set(of(add=["ALL"])) == set(held_capabilities())
    assert "CAP_NET_RAW" not in of(drop=["NET_RAW"])


def test_requests_and_limits_become_cgroup_values() -> None:
    found = resources({"resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": "1500m", "memory": "64Mi"}}})
    assert (found.cpu_shares, found.cpu_quota, found.memory_bytes) == (512, 150_000, 64 * 1024 * 1024)
    assert resources({}).cpu_shares == 2


def test_oom_scores_follow_the_class() -> None:
    half = {"resources": {"requests": {"memory": "512Mi"}}}
    assert oom_score("Guaranteed", half, 1024**3) == -997
    assert oom_score("BestEffort", {}, 1024**3) == 1000
    assert oom_score("Burstable", half, 1024**3) == 500
    assert oom_score("Burstable", {}, 1024**3) == 999


def test_all_is_what_this_process_may_hand_on() -> None:
    held = set(held_capabilities())
    assert {"CAP_CHOWN", "CAP_NET_RAW"} <= held
    shown = subprocess.run(["capsh", "--print"], capture_output=True, text=True, check=True).stdout
    bounding = shown.partition("Bounding set =")[2].partition("\n")[0]
    assert held == {name.upper() for name in bounding.split(",")}


def test_what_a_container_may_become() -> None:
    assert not security(_pod(), {}, "").no_new_privileges
    assert security(_pod(), {"securityContext": {"allowPrivilegeEscalation": False}}, "").no_new_privileges
    assert not security(_pod(), {}, "").unmasked
    assert security(_pod(), {"securityContext": {"procMount": "Unmasked"}}, "").unmasked
