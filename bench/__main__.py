"""Runs benchmarks by name, or all of them: `python -m bench [NAME...]`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from bench.harness import Session, execute, parser


def names() -> list[str]:
    """The benchmarks there are: the modules of this directory that have a `run(session)`."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return [path.stem for path in files if "\ndef run(session" in path.read_text()]


def main() -> None:
    """The command line."""
    available = names()
    made = parser(__doc__)
    made.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(available)}; all when none is named")
    arguments = made.parse_args()
    unknown = [name for name in arguments.names if name not in available]
    if unknown:
        made.error(f"no benchmark {', '.join(unknown)}; there are: {', '.join(available)}")
    execute([(name, _load(name)) for name in arguments.names or available], arguments)


def _load(name: str) -> Callable[[Session], None]:
    run: Callable[[Session], None] = importlib.import_module(f"bench.{name}").run
    return run


if __name__ == "__main__":
    main()
