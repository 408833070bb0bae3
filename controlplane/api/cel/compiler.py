"""From the tree to closures. Macros are expanded here; errors in one side of && and || give way to the other.

An evaluation is bounded: each pass through a comprehension counts, and there are only so many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from controlplane.api.cel.errors import CelError, CelUnsupported
from controlplane.api.cel.functions import FUNCTIONS, METHODS, NAMESPACED
from controlplane.api.cel.parser import Tree, parse
from controlplane.api.cel.values import NO_OVERLOAD, NONE, Optional, arithmetic, contains, equal, integer, less

MOST_STEPS = 200_000
STEPS = "#steps"

Env = dict[str, Any]
Run = Callable[[Env], Any]

_MACROS = ("all", "exists", "exists_one", "existsOne", "filter", "map")
_UNESCAPED = {"__dot__": ".", "__dash__": "-", "__slash__": "/", "__underscores__": "__"}
_RESERVED = frozenset(
    (
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
    )
)


def compile_expression(text: str) -> Callable[[Mapping[str, Any]], Any]:
    """A function of variables by name.

    CelSyntaxError for what is no expression, CelUnsupported for what is not implemented here.
    """
    run = _compile(parse(text))

    def evaluate(variables: Mapping[str, Any]) -> Any:
        try:
            return run({**variables, STEPS: [MOST_STEPS]})
        except RecursionError as error:
            raise CelError("expression recursion limit exceeded") from error
        except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
            # Of values that are not checked before they are run: what no operator is for is not the server's failure.
            raise CelError(NO_OVERLOAD) from error

    return evaluate


def _compile(tree: Tree) -> Run:
    return _COMPILERS[tree[0]](tree)


def _literal(tree: Tree) -> Run:
    value = tree[1]
    if type(value) is int:
        try:
            integer(value)
        except CelError as error:
            raise CelUnsupported("integers beyond 64 bits") from error
    return lambda env: value


def _name(tree: Tree) -> Run:
    name = tree[1]

    def run(env: Env) -> Any:
        try:
            return env[name]
        except KeyError as error:
            raise CelError(f"undeclared reference to '{name}'") from error

    return run


def unescape(name: str) -> str:
    """The name of a property as it is in the object, of that in an expression."""
    if "__" not in name:
        return name
    if name.startswith("__") and name.endswith("__") and name[2:-2] in _RESERVED:
        return name[2:-2]
    for escaped, plain in _UNESCAPED.items():
        name = name.replace(escaped, plain)
    return name


def _select(tree: Tree) -> Run:
    _, inner, field, optional = tree
    run, name = _compile(inner), unescape(field)
    return lambda env: _get(run(env), name, optional=optional)


def _index(tree: Tree) -> Run:
    _, inner, key_tree, optional = tree
    run, key = _compile(inner), _compile(key_tree)
    return lambda env: _get(run(env), key(env), optional=optional)


def _get(value: Any, key: Any, *, optional: bool) -> Any:
    if isinstance(value, Optional):
        return _get(value.value, key, optional=True) if value.present else NONE
    if isinstance(value, dict):
        if isinstance(key, str | int | bool) and key in value:
            return Optional(value[key], True) if optional else value[key]
        if optional:
            return NONE
        raise CelError(f"no such key: {key}")
    if isinstance(value, list) and isinstance(key, int | float) and not isinstance(key, bool) and key == int(key):
        if 0 <= key < len(value):
            found = value[int(key)]
            return Optional(found, True) if optional else found
        if optional:
            return NONE
        raise CelError(f"index out of bounds: {key}")
    raise CelError(NO_OVERLOAD)


def _list(tree: Tree) -> Run:
    items = [(_compile(item), optional) for item, optional in tree[1]]

    def run(env: Env) -> Any:
        found = []
        for item, optional in items:
            value = item(env)
            if not optional:
                found.append(value)
            elif value.present:
                found.append(value.value)
        return found

    return run


def _map(tree: Tree) -> Run:
    entries = [(_compile(key), _compile(value), optional) for key, value, optional in tree[1]]

    def run(env: Env) -> Any:
        found = {}
        for key, value, optional in entries:
            made = value(env)
            if not optional:
                found[key(env)] = made
            elif made.present:
                found[key(env)] = made.value
        return found

    return run


def _not(tree: Tree) -> Run:
    run = _compile(tree[1])
    return lambda env: not _boolean(run(env))


def _minus(tree: Tree) -> Run:
    run = _compile(tree[1])
    return lambda env: arithmetic("-", 0.0 if isinstance(value := run(env), float) else 0, value)


def _boolean(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    raise CelError(NO_OVERLOAD)


def _if(tree: Tree) -> Run:
    condition, then, otherwise = (_compile(one) for one in tree[1:])
    return lambda env: then(env) if _boolean(condition(env)) else otherwise(env)


def _binary(tree: Tree) -> Run:
    _, operator, left_tree, right_tree = tree
    left, right = _compile(left_tree), _compile(right_tree)
    match operator:
        case "&&":
            return _junction(left, right, decides=False)
        case "||":
            return _junction(left, right, decides=True)
        case "==":
            return lambda env: equal(left(env), right(env))
        case "!=":
            return lambda env: not equal(left(env), right(env))
        case "<":
            return lambda env: less(left(env), right(env))
        case ">":
            return lambda env: less(right(env), left(env))
        case "<=":
            return lambda env: not less(right(env), left(env))
        case ">=":
            return lambda env: not less(left(env), right(env))
        case "in":
            return lambda env: contains(right(env), left(env))
    return lambda env: arithmetic(operator, left(env), right(env))


def _junction(left: Run, right: Run, *, decides: bool) -> Run:
    def run(env: Env) -> bool:
        try:
            if _boolean(left(env)) is decides:
                return decides
        except CelError:
            if _boolean(right(env)) is decides:
                return decides
            raise
        return _boolean(right(env))

    return run


def _call(tree: Tree) -> Run:
    _, target, name, arguments = tree
    if target is None:
        return _has(arguments) if name == "has" else _function(name, FUNCTIONS.get(name), arguments)
    if target == ("name", "cel") and name == "bind":
        return _bind(arguments)
    if target[0] == "name" and (target[1], name) in NAMESPACED:
        return _function(name, NAMESPACED[target[1], name], arguments)
    if name in _MACROS and len(arguments) in (2, 3) and arguments[0][0] == "name":
        return _comprehension(name, _compile(target), arguments)
    if name in ("optMap", "optFlatMap"):
        return _opt_map(name, _compile(target), arguments)
    return _function(name, METHODS.get(name), [target, *arguments])


def _function(name: str, function: Callable[..., Any] | None, arguments: list[Tree]) -> Run:
    if function is None:
        raise CelUnsupported(f"the function {name}")
    runs = [_compile(one) for one in arguments]

    def run(env: Env) -> Any:
        try:
            return function(*(one(env) for one in runs))
        except (TypeError, AttributeError) as error:
            raise CelError(NO_OVERLOAD) from error
        except (ValueError, OverflowError, IndexError) as error:
            raise CelError(str(error)) from error

    return run


def _has(arguments: list[Tree]) -> Run:
    if len(arguments) != 1 or arguments[0][0] != "select":
        raise CelUnsupported("has() of what is no field")
    _, inner, field, _ = arguments[0]
    run, name = _compile(inner), unescape(field)

    def test(env: Env) -> bool:
        value = run(env)
        if isinstance(value, Optional):
            value = value.value
        if not isinstance(value, dict):
            raise CelError(NO_OVERLOAD)
        return name in value

    return test


def _bind(arguments: list[Tree]) -> Run:
    name, value, body = arguments[0][1], _compile(arguments[1]), _compile(arguments[2])
    return lambda env: body({**env, name: value(env)})


def _opt_map(method: str, target: Run, arguments: list[Tree]) -> Run:
    name, body = arguments[0][1], _compile(arguments[1])

    def run(env: Env) -> Any:
        value = target(env)
        if not value.present:
            return NONE
        made = body({**env, name: value.value})
        return made if method == "optFlatMap" else Optional(made, True)

    return run


def _comprehension(name: str, target: Run, arguments: list[Tree]) -> Run:
    variable, body = arguments[0][1], _compile(arguments[-1])
    where = _compile(arguments[1]) if name == "map" and len(arguments) == 3 else None
    second = arguments[1][1] if len(arguments) == 3 and name != "map" else ""

    def each(env: Env) -> Iterator[tuple[Any, Env]]:
        items = target(env)
        if not isinstance(items, list | dict):
            raise CelError(NO_OVERLOAD)
        pairs = items.items() if isinstance(items, dict) else enumerate(items)
        for key, value in pairs:
            env[STEPS][0] -= 1
            if env[STEPS][0] < 0:
                raise CelError("operation cancelled: actual cost limit exceeded")
            first = key if second or isinstance(items, dict) else value
            yield first, ({**env, variable: first, second: value} if second else {**env, variable: first})

    def run(env: Env) -> Any:
        match name:
            case "all":
                return _decided(each(env), body, wanted=False)
            case "exists":
                return _decided(each(env), body, wanted=True)
            case "exists_one" | "existsOne":
                return sum(_boolean(body(inner)) for _, inner in each(env)) == 1
            case "filter":
                return [item for item, inner in each(env) if _boolean(body(inner))]
        return [body(inner) for _, inner in each(env) if where is None or _boolean(where(inner))]

    return run


def _decided(items: Iterable[tuple[Any, Env]], body: Run, *, wanted: bool) -> bool:
    """Whether one item decides: an error in another does not matter then."""
    failed: CelError | None = None
    for _, inner in items:
        try:
            if _boolean(body(inner)) is wanted:
                return wanted
        except CelError as error:
            failed = error
    if failed is not None:
        raise failed
    return not wanted


_COMPILERS: dict[str, Callable[[Tree], Run]] = {
    "literal": _literal,
    "name": _name,
    "select": _select,
    "index": _index,
    "list": _list,
    "map": _map,
    "not": _not,
    "minus": _minus,
    "if": _if,
    "binary": _binary,
    "call": _call,
}
