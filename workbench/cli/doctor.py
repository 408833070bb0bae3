"""`netsim doctor`: whether this host can carry a cluster, and how to get what is missing."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from controlplane.config.host import taken_by_host
from controlplane.config.resolve import first_choices
from netsim import probe
from netsim.probe import Check

EPILOG = """\b
Examples:
  sudo netsim doctor
  sudo netsim doctor --pods 1000     judge the limits for that many pods
  sudo netsim doctor -o json"""


@click.command("doctor", epilog=EPILOG)
@click.option(
    "--pods", type=click.IntRange(0), metavar="N", default=probe.DEFAULT_PODS, show_default=True, help="Number of pods."
)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format.")
def command(pods: int, output: str) -> int:
    """Check root, programs, kernel, capabilities, limits and address ranges; say for each how to get what is missing.

    Ends with status 1 if something is missing without which no cluster starts.
    """
    checks = [*probe.checks(pods), *_ranges()]
    if output == "json":
        click.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            click.echo(_line(check))
        click.echo(_verdict(checks))
    return 1 if _missing(checks) else 0


def _ranges() -> list[Check]:
    """Whether the ranges that a cluster has by default are free; if not, `up` chooses others."""
    taken = taken_by_host()
    found = []
    for purpose, network in first_choices().items():
        owner = next((each.owner for each in taken if each.network.overlaps(network)), None)
        found.append(
            Check(
                name=f"range {network}",
                ok=owner is None,
                found="free" if owner is None else f"overlaps {owner}",
                needed=f"for {purpose}",
                remedy="none needed: another is chosen, or name one in cluster.yaml",
                required=False,
            )
        )
    return found


def _line(check: Check) -> str:
    if check.ok:
        sign, colour = "ok", "green"
    else:
        sign, colour = ("missing", "red") if check.required else ("advice", "yellow")
    line = f"{click.style(f'{sign:8}', fg=colour)}{check.name}: {check.found}"
    return line if check.ok else f"{line} (needed: {check.needed})\n        {check.remedy}"


def _missing(checks: list[Check]) -> list[Check]:
    return [check for check in checks if check.required and not check.ok]


def _verdict(checks: list[Check]) -> str:
    missing = _missing(checks)
    if missing:
        return f"this host cannot carry a cluster yet; missing: {', '.join(check.name for check in missing)}"
    return "this host can carry a cluster"
