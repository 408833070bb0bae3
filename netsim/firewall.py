"""iptables rules as whole texts: `iptables-restore` and `iptables-save` in the calling thread's namespace.

A text is applied at once or not at all. The nft-backed programs are used by name where the host has them, so
that the rules show up in `nft list ruleset` and in traces whatever `iptables` points to by default.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from collections.abc import Sequence

from netsim.errors import CommandFailed, MissingRequirement, RulesRejected
from netsim.programs import PATH

_LIMIT_SECONDS = 120
_LOCK_SECONDS = "5"
_NO_SUCH = "No such file or directory"
_QUOTED = re.compile(r"'([^']+)'")
_LINE_NUMBER = re.compile(r"line:? (\d+)")


def restore(text: str, *, noflush: bool = True, counters: bool = False) -> None:
    """Applies a rule file in iptables-save form.

    With `noflush` chains that the text does not name stay as they are; with `counters` the text's own counters are
    set. Raises `RulesRejected` with the line that was refused, in which case nothing has changed.
    """
    argv = [_program("iptables-nft-restore", "iptables-restore"), "--wait", _LOCK_SECONDS]
    argv += ["--noflush"] if noflush else []
    argv += ["--counters"] if counters else []
    try:
        run(argv, text)
    except CommandFailed as error:
        raise RulesRejected(argv, error.status, stderr=error.stderr, line=_rejected_line(text, error.stderr)) from error


def save(table: str | None = None, *, counters: bool = False) -> str:
    """The rules of a table, or of all tables, in iptables-save form."""
    argv = [_program("iptables-nft-save", "iptables-save")]
    argv += ["-t", table] if table else []
    argv += ["-c"] if counters else []
    return run(argv)


def restore_sets(text: str) -> None:
    """Carries out ipset commands, one a line, in order; the first that is refused ends it. Raises `CommandFailed`."""
    run([_program("ipset"), "restore"], text)


def save_sets() -> str:
    """The address sets of the namespace as commands that would make them; "" without the program ipset."""
    return run([_program("ipset"), "save"]) if _find("ipset") else ""


def nft(text: str) -> None:
    """Applies nft commands as one transaction. Raises `CommandFailed`."""
    run([_program("nft"), "-f", "-"], text)


def list_ruleset() -> str:
    """All rules of the namespace's IPv4 tables in nft's form, with their handles."""
    return run([_program("nft"), "--handle", "--numeric", "list", "ruleset", "ip"])


def has_nft() -> bool:
    """Whether the program is there; without it no table of ours can be either."""
    return _find("nft") is not None


def list_nft_tables() -> list[tuple[str, str]]:
    """The nft tables of the namespace, as (family, name)."""
    lines = run([_program("nft"), "list", "tables"]).splitlines()
    return [(fields[1], fields[2]) for fields in map(str.split, lines) if len(fields) == 3]


def find_nft_table(family: str, name: str, *, as_json: bool = False) -> str | None:
    """A table's rules in nft's form or its JSON, or None if there is none of that name (any more)."""
    try:
        return run([_program("nft"), *(["-j"] if as_json else []), "list", "table", family, name])
    except CommandFailed as error:
        if _NO_SUCH in error.stderr:
            return None
        raise


def run(argv: Sequence[str], text: str = "") -> str:
    """What a program prints, given `text` to read. Raises `CommandFailed`, `MissingRequirement` without the program."""
    try:
        done = subprocess.run(
            argv,
            # None where only the caller's PATH may know it.
            executable=_find(argv[0]),
            input=text,
            capture_output=True,
            text=True,
            timeout=_LIMIT_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise MissingRequirement(f"no program {argv[0]}", "install the package that it comes in") from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(argv, -1, stderr=f"still running after {_LIMIT_SECONDS} s, and killed") from error
    if done.returncode != 0:
        raise CommandFailed(argv, done.returncode, stdout=done.stdout, stderr=done.stderr)
    return done.stdout


def _find(*names: str) -> str | None:
    try:
        return _located(*names)
    except LookupError:
        # Not remembered, as a failure never is: it may be installed any time.
        return None


@functools.cache
def _located(*names: str) -> str:
    found = next((path for name in names if (path := shutil.which(name, path=PATH))), None)
    if found is None:
        raise LookupError(names)
    return found


def _program(*names: str) -> str:
    found = _find(*names)
    if found is None:
        package = {"nft": "nftables", "ipset": "ipset"}.get(names[0], "iptables")
        raise MissingRequirement(f"no program {names[-1]}", f"install the package {package}")
    return found


def _rejected_line(text: str, stderr: str) -> str:
    match = _LINE_NUMBER.search(stderr)
    lines = text.splitlines()
    if match is None or not 0 < int(match.group(1)) <= len(lines):
        return ""
    line = lines[int(match.group(1)) - 1]
    # A jump to a chain that is not there is noticed at the end only, and then the chain is named.
    chain = _QUOTED.search(stderr)
    if line == "COMMIT" and chain is not None:
        return next((rule for rule in lines if chain.group(1) in rule.split()), line)
    return line
