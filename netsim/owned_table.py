"""An nft table that lives as long as a process: whatever ends that, the kernel removes the table.

For rules that must not stay behind, not even after SIGKILL. The process is nft itself, which waits for commands and
holds the table by the flag `owner`; nobody else can change it meanwhile.
"""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from netsim import namespace, programs
from netsim.errors import NetsimError

NO_HOME = "/nonexistent"
"""nft keeps what it was told in a file of the home directory."""
_SECONDS = 5.0
"""What nft has to answer, and to end."""


class OwnedTable:
    """The table `name` of family ip in the namespace at `netns`; `commands` are nft's, for what is in it."""

    def __init__(self, netns: Path, name: str, commands: str) -> None:
        self.netns, self.name = netns, name
        self._text = f"add table ip {name} {{ flags owner; }}\n{commands}list tables\n"
        self._program: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Makes it. Raises `MissingRequirement` without nft, `NetsimError` if the kernel takes no such table."""
        program = programs.require("nft", "nftables")
        with namespace.entered(self.netns):
            self._program = subprocess.Popen(
                [program, "--interactive"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
                env={**os.environ, "TERM": "dumb", "HOME": NO_HOME},
            )
        complaint = self._complaint(self._program)
        if complaint:
            self.stop()
            raise NetsimError(f"cannot make table {self.name} in {self.netns.name}: {complaint}")

    def stop(self) -> None:
        """Has it removed; again is no error."""
        program, self._program = self._program, None
        if program is None:
            return
        assert program.stdin is not None
        assert program.stdout is not None
        with suppress(BrokenPipeError):
            program.stdin.close()
        try:
            program.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            program.kill()
            program.wait()
        program.stdout.close()

    def _complaint(self, program: subprocess.Popen[str]) -> str:
        """What nft has said instead of listing the table; "" once the table is there."""
        assert program.stdin is not None
        assert program.stdout is not None
        said = []
        timer = threading.Timer(_SECONDS, program.kill)
        timer.start()
        try:
            program.stdin.write(self._text)
            program.stdin.flush()
            for line in program.stdout:
                said.append(line)
                if line.strip() == f"table ip {self.name}":
                    return ""
                if "Error" in line:
                    break
        except BrokenPipeError:
            said.append("nft ended")
        finally:
            timer.cancel()
        return " ".join(said).strip() or f"nft did not answer within {_SECONDS:g} s"

    def __enter__(self) -> OwnedTable:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
