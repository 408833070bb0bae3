"""Writes docs/api.md: `python -m workbench.conformity`, or `make docs`."""

from __future__ import annotations

from pathlib import Path

from workbench.conformity.page import page

DOCUMENT = Path(__file__).parents[2] / "docs" / "api.md"

if __name__ == "__main__":
    DOCUMENT.write_text(page())
