"""Progress on a terminal; silence anywhere else, so that scripts and logs see results only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

Step = Callable[[str, int, int], None]


@contextmanager
def steps() -> Iterator[Step]:
    """A function that shows a step with how many of how many are done (0 of 0: not counted)."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda text, done, total: None
        return
    with ExitStack() as shown:
        spinner = _Spinner(shown)
        yield spinner.show


class _Spinner:
    """One line that turns. Made at the first step: by then the daemon starts beside the import of rich."""

    def __init__(self, shown: ExitStack) -> None:
        self._shown = shown
        self._update: Callable[[str], None] | None = None

    def show(self, text: str, done: int, total: int) -> None:
        line = f"{text} {done}/{total}" if total else text
        if self._update is None:
            from rich.console import Console
            from rich.status import Status

            self._update = self._shown.enter_context(Status(line, console=Console(stderr=True))).update
        self._update(line)
