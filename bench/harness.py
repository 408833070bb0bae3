"""Reports figures as ratios to a reference run beside them. Nothing here fails because something is slow.

A benchmark is a module of this directory with a function `run(session)`, which calls `session.report` for each figure.
It is run by name through `python -m bench`, or alone when it ends with

    if __name__ == "__main__":
        harness.main(run)
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

Figures = float | Sequence[float]

_TARGET = re.compile(r"^(<=|>=) ?([0-9.]+) ?(x?)$")
_PROGRAMS = (("crun", "--version"), ("iptables", "--version"), ("conmon", "--version"), ("nft", "--version"))
_WIDTHS = (48, 24, 36, 8, 14)


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure is to reach: a bound on the figure itself ("<= 1.5") or on its ratio ("<= 3x", ">= 0.6x")."""

    text: str

    def met(self, ours: float, ratio: float | None) -> bool | None:
        """Whether it is reached; None when it bounds a ratio and there is none."""
        match = _TARGET.match(self.text)
        if match is None:
            raise ValueError(f"target {self.text!r}: expected e.g. '<= 1.5' or '<= 3x'")
        value = ratio if match[3] else ours
        if value is None:
            return None
        return value <= float(match[2]) if match[1] == "<=" else value >= float(match[2])


@dataclass(frozen=True, slots=True)
class Result:
    """One figure as it goes into the JSON file; several runs are given with their median."""

    figure: str
    unit: str
    ours: float
    runs: list[float]
    reference: float | None
    reference_runs: list[float]
    reference_is: str
    ratio: float | None
    target: str
    met: bool | None


@dataclass
class Session:
    """What the benchmarks of one command share: how often to run, and where results go."""

    runs: int = 3
    minutes: float = 2.0
    """How long a benchmark goes on that looks for growth."""
    results: list[Result] = field(default_factory=list)

    def report(
        self,
        figure: str,
        ours: Figures,
        reference: Figures | None,
        unit: str,
        target: str = "",
        *,
        reference_is: str = "",
    ) -> Result:
        """Prints and keeps one figure. Of several runs the median counts.

        `reference_is` says what was run beside it.
        """
        ours_runs, reference_runs = _list(ours), _list(reference)
        value = statistics.median(ours_runs)
        beside = statistics.median(reference_runs) if reference_runs else None
        ratio = value / beside if beside else None
        met = Target(target).met(value, ratio) if target else None
        result = Result(figure, unit, value, ours_runs, beside, reference_runs, reference_is, ratio, target, met)
        self.results.append(result)
        _print_row(result)
        return result

    def note(self, text: str) -> None:
        """Prints a line between figures."""
        say(f"  {text}")


def say(text: str) -> None:
    """One line to the terminal, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def header() -> dict[str, str]:
    """The machine, the versions and the command: what a figure means nothing without."""
    facts = {
        "machine": f"{platform.machine()}, {_processor()}, {len(os.sched_getaffinity(0))} cores, {_memory()}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": _first_line("git", "rev-parse", "--short", "HEAD"),
        "load": " ".join(f"{value:.2f}" for value in os.getloadavg()),
        "command": " ".join(sys.argv),
    }
    return facts | {name: _first_line(name, option) for name, option in _PROGRAMS if shutil.which(name)}


def execute(benches: Sequence[tuple[str, Callable[[Session], None]]], arguments: argparse.Namespace) -> None:
    """Runs the benchmarks in turn under one header, and writes the JSON file if one is asked for."""
    facts = header()
    for name, value in facts.items():
        say(f"{name:>9}: {value}")
    session = Session(runs=arguments.runs, minutes=arguments.minutes)
    for title, run in benches:
        say(f"\n{title}")
        _print_columns("figure", "ours (median)", "reference", "ratio", "target")
        run(session)
    if arguments.json is not None:
        body = {"header": facts, "results": [asdict(result) for result in session.results]}
        arguments.json.write_text(json.dumps(body, indent=2) + "\n")
        say(f"\nwritten: {arguments.json}")


def parser(description: str | None = None) -> argparse.ArgumentParser:
    """The options that every benchmark has."""
    made = argparse.ArgumentParser(prog="python -m bench", description=description)
    made.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    made.add_argument(
        "--runs", type=int, default=3, metavar="N", help="runs of each figure, of which the median counts"
    )
    made.add_argument(
        "--minutes", type=float, default=2.0, metavar="N", help="how long a benchmark goes on that looks for growth"
    )
    return made


def main(run: Callable[[Session], None]) -> None:
    """The command line of one benchmark by itself."""
    title = Path(sys.argv[0]).stem
    execute([(title, run)], parser(sys.modules["__main__"].__doc__).parse_args())


def _list(figures: Figures | None) -> list[float]:
    if figures is None:
        return []
    return [float(figures)] if isinstance(figures, int | float) else [float(value) for value in figures]


def _print_row(result: Result) -> None:
    spread = ""
    if len(result.runs) > 1:
        spread = f" ({_number(min(result.runs))}-{_number(max(result.runs))})"
    reference = "-"
    if result.reference is not None:
        reference = f"{_number(result.reference)} {result.unit} {result.reference_is}".strip()
    _print_columns(
        result.figure,
        f"{_number(result.ours)} {result.unit}{spread}",
        reference,
        f"{result.ratio:.2f} x" if result.ratio is not None else "-",
        f"{result.target} {'met' if result.met else 'missed'}" if result.met is not None else result.target or "-",
    )


def _print_columns(*cells: str) -> None:
    say("  " + "  ".join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip())


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _processor() -> str:
    match = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return match[1] if match else platform.processor() or "unknown processor"


def _memory() -> str:
    match = re.search(r"^MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return f"{int(match[1]) / 1_048_576:.1f} GiB" if match else "unknown memory"


def _first_line(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False)
    lines = (done.stdout or done.stderr).splitlines()
    return lines[0].strip() if done.returncode == 0 and lines else "unknown"
