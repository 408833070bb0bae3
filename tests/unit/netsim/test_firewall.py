"""Programs are looked for until they are there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from netsim import firewall


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where programs are looked for; there are none yet."""
    firewall._located.cache_clear()
    monkeypatch.setattr(firewall, "PATH", str(tmp_path))
    yield tmp_path
    firewall._located.cache_clear()


def test_a_program_that_is_installed_later_is_found(path: Path) -> None:
    assert not firewall.has_nft()
    assert firewall.save_sets() == ""
    for name in ("nft", "ipset"):
        (path / name).write_text("#!/bin/sh\necho create x hash:ip\n")
        (path / name).chmod(0o755)
    assert firewall.has_nft()
    assert firewall.save_sets() == "create x hash:ip\n"
