"""What the subcommands of `netsim image` share: the store, its failures in a person's words, progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from controlplane.node.errors import ImageFailure, StoreFailure
from controlplane.node.images.library import ImageLibrary
from workbench.cli.errors import UserError, require_root
from workbench.cli.progress import steps

UNITS = ("B", "kB", "MB", "GB", "TB")


@contextmanager
def store(command: str) -> Iterator[ImageLibrary]:
    """The image store; its failures become a UserError. Needs root, as what is in it does."""
    require_root(f"image {command}")
    try:
        yield ImageLibrary()
    except StoreFailure as error:
        raise UserError(str(error), error.remedy) from error
    except ImageFailure as error:
        raise UserError(str(error).rpartition(": couldn't parse ")[2] or str(error)) from error


@contextmanager
def telling(what: str) -> Iterator[Callable[[str], None]]:
    """A function that shows what skopeo says, on a terminal only."""
    layers = 0
    with steps() as step:

        def tell(line: str) -> None:
            nonlocal layers
            layers += line.startswith("Copying blob")
            step(f"{what}: {line or 'reading'}"[:100], 0, 0)

        step(f"{what}: reading", 0, 0)
        yield tell


def readable(size: float) -> str:
    """A size as docker and skopeo show it: powers of 1000."""
    for unit in UNITS:
        if size < 1000 or unit == UNITS[-1]:
            break
        size /= 1000
    return f"{size:.3g} {unit}"
