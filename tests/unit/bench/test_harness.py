"""The harness: medians, ratios, targets, and what it prints and keeps."""

from __future__ import annotations

import pytest

from bench.__main__ import names
from bench.harness import Session, Target


@pytest.mark.parametrize(
    ("text", "ours", "ratio", "met"),
    [
        ("<= 1.5", 1.5, 9.0, True),
        ("<= 1.5", 1.6, None, False),
        ("<= 3x", 100.0, 2.9, True),
        ("<= 3x", 0.1, 3.1, False),
        (">= 0.6x", 1.0, 0.7, True),
        (">= 0.6x", 1.0, None, None),
    ],
)
def test_target_bounds_the_figure_or_its_ratio(text: str, ours: float, ratio: float | None, met: bool | None) -> None:
    assert Target(text).met(ours, ratio) is met


def test_target_that_says_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="expected"):
        Target("fast").met(1, 1)


def test_median_of_the_runs_and_ratio_to_the_reference(capsys: pytest.CaptureFixture[str]) -> None:
    session = Session()
    result = session.report("attach", [3.0, 9.0, 4.0], [2.0, 2.0], "ms", "<= 3x", reference_is="C floor")
    assert (result.ours, result.reference, result.ratio, result.met) == (4.0, 2.0, 2.0, True)
    assert session.results == [result]
    row = capsys.readouterr().out
    for part in ("attach", "4 ms (3-9)", "2 ms C floor", "2.00 x", "<= 3x met"):
        assert part in row


def test_every_benchmark_is_found_by_name() -> None:
    assert {"cluster", "services"} <= set(names())
    assert not {"harness", "bare", "kube", "floor"} & set(names())
