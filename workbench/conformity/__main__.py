"""Writes the generated pages of docs/: `python -m workbench.conformity`, or `make docs`."""

from __future__ import annotations

from pathlib import Path

from workbench.conformity import storage, workloads
from workbench.conformity.page import page

PAGES = {"api.md": page, "storage.md": storage.render, "workloads.md": workloads.render}
"""Page below docs/, and the function that gives its text."""
DOCS = Path(__file__).parents[2] / "docs"

if __name__ == "__main__":
    for name, render in PAGES.items():
        (DOCS / name).write_text(render())
