from __future__ import annotations

import json
from pathlib import Path

import pytest

from controlplane.node.errors import CreationFailure
from controlplane.node.runtime.oci import DEFAULT_CAPABILITIES
from controlplane.node.seccomp import profile_of, runtime_default
from netsim.capabilities import CAPABILITIES


def _refused(capabilities: tuple[str, ...]) -> set[str]:
    rules = runtime_default(capabilities)["syscalls"]
    return {name for rule in rules if "args" not in rule for name in rule["names"]}


def _of(profile: dict[str, str], directory: Path, **more: object) -> object:
    pod = {"spec": {"securityContext": {"seccompProfile": profile}}}
    return profile_of(pod, {"securityContext": more}, DEFAULT_CAPABILITIES, directory)


def test_the_default_refuses_what_no_capability_allows() -> None:
    refused = _refused(DEFAULT_CAPABILITIES)
    assert {"mount", "unshare", "bpf", "reboot", "keyctl", "clone3", "perf_event_open"} <= refused
    assert not {"chroot", "read", "clone", "ptrace", "open_by_handle_at2"} & refused
    assert {"mount", "bpf", "reboot", "clone3"}.isdisjoint(_refused(CAPABILITIES))
    assert "keyctl" in _refused(CAPABILITIES)


def test_the_container_s_profile_goes_before_the_pod_s(tmp_path: Path) -> None:
    default = {"type": "RuntimeDefault"}
    assert _of(default, tmp_path) == runtime_default(DEFAULT_CAPABILITIES)
    assert _of(default, tmp_path, seccompProfile={"type": "Unconfined"}) is None
    assert _of(default, tmp_path, privileged=True) is None
    assert profile_of({"spec": {}}, {}, (), tmp_path) is None


def test_a_profile_of_the_machine_is_read(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    written = {"defaultAction": "SCMP_ACT_LOG"}
    (tmp_path / "profiles/audit.json").write_text(json.dumps(written))
    (tmp_path / "broken.json").write_text("{}")
    assert _of({"type": "Localhost", "localhostProfile": "profiles/audit.json"}, tmp_path) == written
    with pytest.raises(CreationFailure, match=r'cannot load seccomp profile ".*none.json": open .*no such file'):
        _of({"type": "Localhost", "localhostProfile": "none.json"}, tmp_path)
    with pytest.raises(CreationFailure, match="it has no defaultAction"):
        _of({"type": "Localhost", "localhostProfile": "broken.json"}, tmp_path)
