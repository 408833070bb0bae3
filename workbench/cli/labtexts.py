"""How labs, stages and findings are printed, and the options that the subcommands of `netsim lab` share."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from workbench.cli.options import name_option
from workbench.cli.typed import typed
from workbench.labs.definition import Finding
from workbench.labs.progress import running
from workbench.labs.session import Session

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
PATIENCE_SECONDS = 1.5


def complete_labs(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of labs for the shell."""
    from workbench.labs.loading import names

    return [CompletionItem(name) for name in names() if name.startswith(incomplete)]


def lab_cluster_option() -> Callable[[Decorated], Decorated]:
    """`--name`: the cluster of the lab that is meant; not needed while only one is under way."""
    return name_option(default=None)


def typed_in_lab(session: Session, word: str) -> str:
    """A command of `netsim lab` about this lab, to be typed; the cluster is named where several labs are under way."""
    several = len(running()) > 1
    return typed("lab", word, cluster=session.progress.cluster if several else "")


def tell_lab(session: Session) -> None:
    """What a lab is about, and how to get at its cluster."""
    progress = session.progress
    click.secho(f"{session.lab.title}", bold=True)
    click.echo(f"lab {session.lab.name}, seed {progress.seed}, cluster {progress.cluster}\n")
    click.echo(session.text(session.lab.text).rstrip() + "\n")
    click.echo("kubectl in this shell:")
    click.echo(f'    eval "$({typed("kubeconfig", "--export", cluster=progress.cluster)})"')
    if session.namespace != "default":
        click.echo(f"    kubectl config set-context --current --namespace {session.namespace}")
    click.echo()


def tell_stage(session: Session) -> None:
    """The text of the stage that is under way, and what its checks are about."""
    stage = session.stage
    if stage is None:
        click.secho("All stages are passed.", fg="green", bold=True)
        click.echo(f"end the lab and keep its result: {typed_in_lab(session, 'finish')}")
        return
    number, total = session.progress.stage + 1, len(session.lab.stages)
    click.secho(f"Stage {number} of {total}: {stage.title}", bold=True)
    click.echo()
    click.echo(session.text(stage.text).rstrip() + "\n")
    passed = session.progress.current.checks
    tell_findings(
        Finding(each.name, session.text(each.says), "" if passed.get(each.name) else "?") for each in stage.checks
    )
    answers = " ".join(f"--answer {name}=..." for name in session.asked)
    click.echo(f"\nwhen it is done: {typed_in_lab(session, 'check')} {answers}".rstrip())


def tell_findings(findings: Iterable[Finding]) -> None:
    """A line a check; below it what is missing, if that is known."""
    for finding in findings:
        sign = click.style("[x]", fg="green") if finding.passed else click.style("[ ]", fg="yellow")
        click.echo(f"  {sign} {finding.says}")
        if finding.missing not in ("", "?"):
            click.echo(textwrap.indent(finding.missing, "        "))


def parse_answers(said: Sequence[str]) -> dict[str, str]:
    """`NAME=VALUE`, several times."""
    answers = {}
    for text in said:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--answer")
        answers[name.strip()] = value.strip()
    return answers
