"""Macros: what binds a name for the evaluation of a part of the expression. Errors in one item give way to another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from controlplane.api.cel.errors import CelCost, CelError
from controlplane.api.cel.values import NO_OVERLOAD, NONE, Optional, boolean

BUDGET = "#budget"
"""The variable that no expression can name: the evaluation's `Budget`."""

COMPREHENSIONS = ("all", "exists", "exists_one", "existsOne", "filter", "map")

Env = dict[str, Any]
Run = Callable[[Env], Any]


def bind(name: str, value: Run, body: Run) -> Run:
    """`cel.bind`."""
    return lambda env: body({**env, name: value(env)})


def opt_map(name: str, target: Run, body: Run, *, flat: bool) -> Run:
    """`optMap`, and `optFlatMap`, whose body gives an optional value itself."""

    def run(env: Env) -> Any:
        value = target(env)
        if not value.present:
            return NONE
        made = body({**env, name: value.value})
        return made if flat else Optional(made, True)

    return run


def items(target: Run, variable: str, second: str = "") -> Callable[[Env], Iterator[tuple[Any, Env]]]:
    """Each item of what `target` gives, of a map each key, and the variables with it; `second` also names the value."""

    def each(env: Env) -> Iterator[tuple[Any, Env]]:
        found = target(env)
        if not isinstance(found, list | dict):
            raise CelError(NO_OVERLOAD)
        spend = env[BUDGET].spend
        for key, value in found.items() if isinstance(found, dict) else enumerate(found):
            spend(1)
            first = key if second or isinstance(found, dict) else value
            yield first, ({**env, variable: first, second: value} if second else {**env, variable: first})

    return each


def comprehension(
    name: str, each: Callable[[Env], Iterator[tuple[Any, Env]]], body: Run, where: Run | None = None
) -> Run:
    """One of `COMPREHENSIONS`; `where` chooses the items of a `map`."""

    def run(env: Env) -> Any:
        match name:
            case "all":
                return _decided(each(env), body, wanted=False)
            case "exists":
                return _decided(each(env), body, wanted=True)
            case "exists_one" | "existsOne":
                return sum(boolean(body(inner)) for _, inner in each(env)) == 1
            case "filter":
                return [item for item, inner in each(env) if boolean(body(inner))]
        return [body(inner) for _, inner in each(env) if where is None or boolean(where(inner))]

    return run


def _decided(pairs: Iterable[tuple[Any, Env]], body: Run, *, wanted: bool) -> bool:
    """Whether one item decides: an error in another does not matter then."""
    failed: CelError | None = None
    for _, inner in pairs:
        try:
            if boolean(body(inner)) is wanted:
                return wanted
        except CelCost:
            raise
        except CelError as error:
            failed = error
    if failed is not None:
        raise failed
    return not wanted
