"""The last words of a container."""

from __future__ import annotations

import os
import tracemalloc
from dataclasses import replace
from pathlib import Path

from controlplane.node.runtime.container import Container, Exit
from controlplane.node.runtime.record import Record
from controlplane.node.worker import MESSAGE_BYTES, termination_message


async def test_of_a_huge_termination_log_only_the_beginning_is_read(tmp_path: Path) -> None:
    written = tmp_path / "termination-log"
    written.write_bytes(b"x" * 10_000)
    os.truncate(written, 64 * 1024 * 1024)
    container = Container(record(written), tmp_path, 0)
    tracemalloc.start()
    try:
        assert termination_message(container, {}) == "x" * MESSAGE_BYTES
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()


def test_the_end_of_the_log_stands_in_for_a_message(tmp_path: Path) -> None:
    log = tmp_path / "c.log"
    log.write_text("2026-01-01T00:00:00.0+00:00 stdout F first\n2026-01-01T00:00:01.0+00:00 stderr F it broke\n")
    container = Container(replace(record(tmp_path / "none"), log_path=str(log)), tmp_path, 0)
    spec = {"terminationMessagePolicy": "FallbackToLogsOnError"}
    container.exit = Exit(1, 0.0)
    assert termination_message(container, spec) == "first\nit broke\n"
    assert termination_message(container, {}) == ""
    container.exit = Exit(0, 0.0)
    assert termination_message(container, spec) == ""


def record(termination: Path) -> Record:
    """A record of no real container."""
    return Record(
        id="0",
        pod_uid="u",
        pod_namespace="default",
        pod_name="p",
        container="c",
        attempt=0,
        init=False,
        image="i",
        image_id="i",
        created=0.0,
        cgroup="/netsim/none",
        log_path="/nowhere",
        data_dir="/nowhere",
        termination_path=str(termination),
        spec_hash="",
    )
