"""What a capture has seen: its file, counted and read. Reading ends the capture, so what is read is whole."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from netsim.capture import Recorder, Tally
from workbench.testing.running import run

if TYPE_CHECKING:
    from scapy.packet import Packet


class Captured:
    """A capture, while it runs and when it has ended."""

    def __init__(self, file: Path, recorder: Recorder, descriptor: int, addressed: Callable[[str], str]) -> None:
        self.file = file
        self._addressed = addressed
        self._recorder, self._descriptor = recorder, descriptor
        self._tallies: list[Tally] | None = None

    @property
    def tallies(self) -> list[Tally]:
        """What was counted, one tally a point."""
        return self.stop()

    def stop(self) -> list[Tally]:
        """Ends it, with all that came before; once ended it says the same again."""
        if self._tallies is None:
            try:
                self._tallies = self._recorder.stop()
            finally:
                self.abandon()
        return self._tallies

    def abandon(self) -> None:
        """Ends it at once if it runs; what it has not written is lost."""
        self._recorder.kill()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def count(self, filter_text: str = "") -> int:
        """How many of its packets a filter of tcpdump takes; names are what they mean by now: `src pod/client`."""
        self.stop()
        text = self._addressed(filter_text) if filter_text else ""
        return len(run(["tcpdump", "-n", "-r", str(self.file), "--", text]).splitlines())

    def packets(self) -> list[Packet]:
        """All packets, read by scapy."""
        from scapy.utils import rdpcap

        self.stop()
        return list(rdpcap(str(self.file)))
