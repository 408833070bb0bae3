"""docs/storage.md names every field of volumes, claims and classes, and says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from controlplane.api.definitions import read_definitions
from controlplane.api.storage_fields import FIELDS
from workbench.conformity.storage import render

ROOT = Path(__file__).parents[3]
KINDS = ("honoured: ", "refused: ", "upstream: ")


@pytest.mark.parametrize("definition", FIELDS)
def test_every_field_has_a_verdict(definition: str) -> None:
    assert set(FIELDS[definition]) == set(read_definitions()[definition]["properties"])


def test_every_test_that_is_named_is_there() -> None:
    named = {verdict for fields in FIELDS.values() for verdict in fields.values() if not verdict.startswith(KINDS)}
    for test in sorted(named):
        path, _, name = test.partition("::")
        text = (ROOT / "tests" / path).read_text()
        assert re.search(rf"def {re.escape(name)}\(", text), f"{test} is not there"


def test_the_page_is_the_generated_one() -> None:
    assert (ROOT / "docs/storage.md").read_text() == render(), "run: make docs"
