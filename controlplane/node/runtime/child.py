"""Child processes by posix_spawn, called so that other Python threads go on meanwhile.

`subprocess` holds the interpreter's lock until the child has executed its program, which on a busy machine is 5 to
10 ms a time, for every container. libc's posix_spawn through ctypes does not. The child belongs to the namespaces of
the calling thread; of descriptors it gets those it is given and no others, as all of Python's are close-on-exec.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Mapping, Sequence

from netsim.errors import kernel_error

_SETSIGDEF, _SETSIGMASK, _SETSID = 0x04, 0x08, 0x80
_STRUCTURE_BYTES = 512
"""More than posix_spawnattr_t, posix_spawn_file_actions_t and sigset_t have in any libc."""

_libc = ctypes.CDLL(None, use_errno=True)


class Child:
    """A child process. `returncode` is as `subprocess` has it: -N for signal N, None until it was waited for."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """The return code if it has ended."""
        return self._reap(os.WNOHANG)

    def wait(self) -> int:
        """Blocks until it has ended; returns the return code."""
        code = self._reap(0)
        assert code is not None
        return code

    def send_signal(self, number: int) -> None:
        """Signals it, unless it was waited for already."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Sends SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _reap(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


def spawn(argv: Sequence[str], environment: Mapping[str, str], descriptors: Sequence[int]) -> Child:
    """Starts `argv` (a full path first) in a session of its own, with `descriptors` as its 0, 1, 2, ...

    Raises the error of netsim for the errno, NotFound for a program that is not there.
    """
    actions, attributes, signals = (ctypes.create_string_buffer(_STRUCTURE_BYTES) for _ in range(3))
    _libc.posix_spawn_file_actions_init(actions)
    _libc.posix_spawnattr_init(attributes)
    try:
        # Out of the way first: a number that is still to be copied must not be overwritten.
        base = max(*descriptors, len(descriptors)) + 1
        for number, descriptor in enumerate(descriptors):
            _libc.posix_spawn_file_actions_adddup2(actions, descriptor, base + number)
        for number in range(len(descriptors)):
            _libc.posix_spawn_file_actions_adddup2(actions, base + number, number)
            _libc.posix_spawn_file_actions_addclose(actions, base + number)
        _libc.sigemptyset(signals)
        _libc.posix_spawnattr_setsigmask(attributes, signals)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):
            _libc.sigaddset(signals, int(number))
        _libc.posix_spawnattr_setsigdefault(attributes, signals)
        _libc.posix_spawnattr_setflags(attributes, ctypes.c_short(_SETSIGDEF | _SETSIGMASK | _SETSID))
        pid = ctypes.c_int()
        error = _libc.posix_spawn(
            ctypes.byref(pid), os.fsencode(argv[0]), actions, attributes, _strings(argv), _environment(environment)
        )
    finally:
        _libc.posix_spawn_file_actions_destroy(actions)
        _libc.posix_spawnattr_destroy(attributes)
    if error:
        raise kernel_error(f"start {argv[0]}", error)
    return Child(pid.value)


def _environment(environment: Mapping[str, str]) -> ctypes.Array[ctypes.c_char_p]:
    return _strings([f"{name}={value}" for name, value in environment.items()])


def _strings(texts: Sequence[str]) -> ctypes.Array[ctypes.c_char_p]:
    return (ctypes.c_char_p * (len(texts) + 1))(*(os.fsencode(text) for text in texts), None)
