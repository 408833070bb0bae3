"""A clean-up that Ctrl-C does not cut short."""

from __future__ import annotations

import signal

import pytest

from workbench.cli.signals import uninterrupted


def test_ctrl_c_waits_for_no_block_and_counts_behind_it() -> None:
    with uninterrupted():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
