"""An OCI runtime that hangs, as over a volume whose server is gone: what it was begun for leaves no process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from controlplane.node.errors import RuntimeFailure
from controlplane.node.runtime import container as containers
from controlplane.node.runtime import oci
from controlplane.node.runtime.container import ContainerRuntime
from controlplane.node.runtime.record import Record
from controlplane.node.runtime.spawner import Spawner
from tests.conftest import Eventually

ID = "5" * 64
SLEEP = "600.25"


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ContainerRuntime]:
    program = tmp_path / "slow"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/begun\nexec sleep {SLEEP}\n")
    program.chmod(0o755)
    monkeypatch.setattr(containers, "CREATE_SECONDS", 1.0)
    spawner = Spawner()
    spawner.runtime, spawner.runtime_name = str(program), "slow"
    yield ContainerRuntime("none", tmp_path, spawner, lambda ended: None)
    spawner.close()
    for pid in (*processes(ID), *processes(SLEEP)):
        os.kill(pid, signal.SIGKILL)


def processes(word: str) -> list[int]:
    """Those in whose command line the word is."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if word.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


async def test_what_was_begun_for_a_container_is_ended(
    runtime: ContainerRuntime, tmp_path: Path, eventually: Eventually
) -> None:
    cgroup = f"/netsim/none/node-1/pod1/{ID}"
    record = Record(
        id=ID,
        pod_uid="1",
        pod_namespace="default",
        pod_name="web",
        container="c",
        attempt=0,
        init=False,
        image="",
        image_id="",
        created=time.time(),
        cgroup=cgroup,
        log_path=str(tmp_path / "log"),
        data_dir=str(tmp_path / "data"),
        termination_path=str(tmp_path / "none"),
        spec_hash="",
        runtime="slow",
    )
    plan = oci.ContainerPlan(
        id=ID,
        root=tmp_path,
        argv=["true"],
        environment={},
        cwd="/",
        cgroup=cgroup,
        namespaces=oci.Namespaces("", "", ""),
        security=oci.Security(),
        resources=oci.Resources(),
    )
    with pytest.raises(RuntimeFailure, match="has not created"):
        await runtime.create(plan, record)
    assert (tmp_path / "begun").exists()
    eventually(lambda: not processes(ID))
    eventually(lambda: not processes(SLEEP))
