"""The command line as a whole: help, statuses, and what it does not load."""

from __future__ import annotations

import os
import pty
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from workbench.cli.main import SUBCOMMANDS, cli, run
from workbench.cli.typed import SECURE_PATH

NETSIM = Path(sys.executable).parent / "netsim"
NOBODY = 65534


def netsim(*argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(NETSIM), *argv],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **environment},
    )


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_has_help_with_examples(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Examples:" in result.output
    assert f"netsim {name}" in result.output


def commands(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(click.Context(group)):
        below = group.get_command(click.Context(group), name)
        assert below is not None
        yield from commands(below, (*path, name))


@pytest.mark.parametrize("path", list(commands(cli)), ids=" ".join)
def test_help_is_whole_and_fits_a_terminal(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(cli, [*path, "--help"], terminal_width=80).output
    assert "\b" not in shown
    before_examples = shown.partition("Examples:")[0].splitlines()
    assert [line for line in before_examples if len(line) > 80] == []


@pytest.mark.parametrize("variable", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {}])
def test_colour_is_for_who_wants_it(variable: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm", **variable}
    subprocess.run([NETSIM, "status", "--name", "no-such-cluster"], stderr=theirs, env=environment, timeout=60)
    said = os.read(ours, 10_000)
    os.close(ours)
    os.close(theirs)
    assert b"no-such-cluster" in said
    assert (b"\x1b[" in said) == (not variable)


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_the_list_of_commands_says_what_each_does(name: str) -> None:
    command = cli.get_command(cli.make_context("netsim", [name, "--help"], resilient_parsing=True), name)
    assert command is not None
    assert command.name == name
    assert SUBCOMMANDS[name].endswith(".")


def test_help_loads_no_subcommand_and_nothing_heavy() -> None:
    code = (
        "import sys; from workbench.cli.main import run; run(['--help']);"
        "heavy = {'rich', 'yaml', 'pyroute2', 'ssl', 'asyncio', 'aiohttp', 'workbench.cli.up'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_is_shown_without_arguments() -> None:
    assert "Commands:" in netsim().stdout


def test_the_version_is_that_of_the_package() -> None:
    assert netsim("--version").stdout == "netsim 0.1.0\n"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["nope"], "No such command 'nope'"),
        (["statu"], "Did you mean 'status'?"),
        (["--name", "lab", "status"], "options go behind the command"),
        (["vpc", "--name", "lab", "routes"], "--name goes behind routes"),
        (["up", "--nodes", "many"], "'many' is not a valid integer"),
        (["up", "--nodes", "-1"], "-1 is not in the range"),
        (["up", "--name", "Lab"], "lower-case letters"),
        (["up", "--config", "/does/not/exist.yaml"], "does not exist"),
        (["down", "--all", "--name", "lab"], "exclude each other"),
        (["kubeconfig", "--export", "--merge"], "exclude each other"),
        (["status", "-o", "yaml"], "'yaml' is not one of"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
    ],
)
def test_a_wrong_command_line_ends_with_2_and_says_where_help_is(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(argv) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("netsim: error: ")
    assert said in captured.err
    assert "--help" in captured.err


@pytest.mark.parametrize("argv", [["up", "--nodes", "2"], ["down", "--all"], ["status", "--name", "lab"]])
def test_without_root_the_way_to_have_it_is_said(argv: list[str]) -> None:
    prefix = ["setpriv", f"--reuid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
    done = subprocess.run([*prefix, str(NETSIM), *argv], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "needs root" in done.stderr
    command = shlex.split(done.stderr.rpartition("run it as: ")[2])
    assert command[0] == "sudo"
    assert os.path.samefile(shutil.which(command[1], path=SECURE_PATH) or command[1], NETSIM)
    assert command[2:] == argv


def test_a_cluster_that_is_not_there_is_an_error_with_a_way_out() -> None:
    done = netsim("status", "--name", "no-such-cluster")
    assert done.returncode == 1
    assert done.stderr.startswith("netsim: error: there is no cluster no-such-cluster\n  ")


def test_the_default_name_comes_from_the_environment() -> None:
    assert "no cluster from-env" in netsim("status", NETSIM_NAME="from-env").stderr


def test_colour_is_left_out_where_there_is_no_terminal() -> None:
    assert "\x1b[" not in netsim("nope").stderr


def test_a_reader_that_goes_away_is_no_traceback() -> None:
    done = subprocess.run(
        f"{NETSIM} completion bash | head -c 1; {NETSIM} --help | true",
        shell=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_name_the_command(shell: str) -> None:
    done = netsim("completion", shell)
    assert done.returncode == 0
    assert "_NETSIM_COMPLETE" in done.stdout


def test_completion_knows_subcommands_and_options() -> None:
    words = netsim(_NETSIM_COMPLETE="bash_complete", COMP_WORDS="netsim sta", COMP_CWORD="1").stdout
    assert words == "plain,status\n"
    options = netsim(_NETSIM_COMPLETE="bash_complete", COMP_WORDS="netsim up --n", COMP_CWORD="2").stdout
    assert options == "plain,--name\nplain,--nodes\n"
