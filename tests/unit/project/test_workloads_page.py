"""docs/workloads.md names every field of pods and workloads, and says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from controlplane.api.definitions import read_definitions
from controlplane.api.rules.job import NOT_YET
from controlplane.api.workload_fields import FIELDS, JOB_FORBIDS
from workbench.conformity.workloads import render, warnings_of

ROOT = Path(__file__).parents[3]
KINDS = ("honoured: ", "refused: ", "upstream: ")


@pytest.mark.parametrize("definition", FIELDS)
def test_every_field_has_one_verdict(definition: str) -> None:
    fields = set(read_definitions()[definition]["properties"])
    said, warned = set(FIELDS[definition]), set(warnings_of(definition))
    assert said | warned == fields, "fields without a verdict, or verdicts without a field"
    assert not said & warned, "fields with a warning and a verdict"


def test_every_test_that_is_named_is_there() -> None:
    named = {verdict for fields in FIELDS.values() for verdict in fields.values() if not verdict.startswith(KINDS)}
    for test in sorted(named):
        path, _, name = test.partition("::")
        text = (ROOT / "tests" / path).read_text()
        assert re.search(rf"def {re.escape(name)}\(", text), f"{test} is not there"


def test_what_is_said_to_be_refused_of_a_job_is_refused() -> None:
    said = {field for field, verdict in FIELDS["io.k8s.api.batch.v1.JobSpec"].items() if verdict == JOB_FORBIDS}
    assert said == set(NOT_YET)


def test_the_page_is_the_generated_one() -> None:
    assert (ROOT / "docs/workloads.md").read_text() == render(), "run: make docs"
