"""Whether overlays work is tried where nobody sees it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from controlplane.node.images import overlay
from netsim import syscalls

HOST_MOUNTS = Path("/proc/self/mounts")
OWN_MOUNTS = Path("/proc/thread-self/mounts")


def test_the_attempt_is_seen_by_its_own_thread_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, bool]] = []
    mount = syscalls.mount

    def mount_and_look(source: str, target: str, **how: Any) -> None:
        mount(source, target, **how)
        if target.startswith(str(tmp_path)):
            seen.append((target in OWN_MOUNTS.read_text(), target in HOST_MOUNTS.read_text()))

    monkeypatch.setattr(overlay, "_known", {})
    monkeypatch.setattr(syscalls, "mount", mount_and_look)
    works = overlay.overlay_works(tmp_path)
    assert seen == ([(True, False)] if works else [])
    assert os.listdir(tmp_path) == []
    # Known by now, for the whole file system.
    (tmp_path / "other").mkdir()
    assert overlay.overlay_works(tmp_path / "other") is works
    assert len(seen) <= 1
