"""Locks on directories: waited for, but not for ever."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from netsim import hostlock
from netsim.errors import LockTimeout, NetsimError

HOLD = """
import fcntl, os, sys
fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)
print(flush=True)
sys.stdin.read()
"""


def test_a_lock_that_another_holds_for_ever_ends_in_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hostlock, "WAIT_SECONDS", 0.05)
    argv = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        for shared in (True, False):
            with pytest.raises(LockTimeout) as caught, hostlock.held(tmp_path, shared=shared):
                pass
            assert isinstance(caught.value, NetsimError)
            assert str(tmp_path) in str(caught.value)
            assert f"process {holder.pid} (" in str(caught.value)
            assert f"of user {os.geteuid()}" in str(caught.value)
        holder.kill()
    with hostlock.held(tmp_path):
        pass


def test_a_lock_that_is_let_go_of_is_had(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    release = threading.Timer(0.05, os.close, [descriptor])
    release.start()
    with hostlock.held(tmp_path):
        release.join()


def test_those_who_share_do_not_wait_for_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hostlock, "WAIT_SECONDS", 0.0)
    with hostlock.held(tmp_path, shared=True):
        with hostlock.held(tmp_path, shared=True):
            pass
        with pytest.raises(LockTimeout), hostlock.held(tmp_path):
            pass
