"""`netsim lab grade`."""

from __future__ import annotations

from pathlib import Path

import click

from workbench.cli.status import table

NOT_GENUINE = 1


@click.command("grade")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="FILE...")
@click.option("--csv", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write a table.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write JUnit XML.")
@click.option("--key", default="", envvar="NETSIM_LAB_KEY", show_envvar=True, metavar="TEXT", help="The course's key.")
@click.option("--rerun", is_flag=True, help="Ask the checks again where the lab's cluster is on this host.")
def command(files: tuple[Path, ...], csv: Path | None, junit: Path | None, key: str, rerun: bool) -> int:
    """Judge results that `netsim lab finish` wrote. A directory stands for the .json files in it.

    Ends with 1 if one of them is not genuine. Only --rerun needs root.
    """
    if rerun:
        from workbench.cli.errors import require_root

        require_root("lab grade --rerun")
    from workbench.labs.grading import VERIFIED, grade, to_csv, to_junit

    each_file = [found for file in files for found in (sorted(file.glob("*.json")) if file.is_dir() else [file])]
    grades = grade(each_file, key, rerun=rerun)
    if csv is not None:
        csv.write_text(to_csv(grades))
    if junit is not None:
        junit.write_text(to_junit(grades))
    rows = [
        (
            row["student"] or Path(each.file).name,
            row["lab"],
            f"{row['passed']}/{row['stages']}",
            row["score"],
            each.verdict,
        )
        for each in grades
        for row in [each.row()]
    ]
    click.echo(table(("STUDENT", "LAB", "PASSED", "SCORE", "VERDICT"), [tuple(map(str, row)) for row in rows]))
    return 0 if all(each.verdict == VERIFIED for each in grades) else NOT_GENUINE
