"""From the tree to closures; errors in one side of && and || give way to the other. What it costs is counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from controlplane.api.cel.budget import ITEMS_A_STEP, Budget, cost, size
from controlplane.api.cel.errors import CelCost, CelError, CelUnsupported
from controlplane.api.cel.functions import FUNCTIONS, METHODS, NAMESPACED
from controlplane.api.cel.macros import BUDGET, COMPREHENSIONS, Env, Run, bind, comprehension, items, opt_map
from controlplane.api.cel.parser import Tree, parse
from controlplane.api.cel.values import NO_OVERLOAD, NONE, Optional, arithmetic, boolean, contains, equal, integer, less

Evaluate = Callable[..., Any]
"""Takes the variables by name, and the `Budget` that the evaluation shares with others."""

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


def compile_expression(text: str) -> Evaluate:
    """A function of variables by name, and of a `Budget` where several share one.

    CelSyntaxError for what is no expression, CelUnsupported for what is not implemented here.
    """
    run = _compile(parse(text))

    def evaluate(variables: Mapping[str, Any], budget: Budget | None = None) -> Any:
        budget = budget or Budget()
        budget.begin()
        try:
            return run({**variables, BUDGET: budget})
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
    return lambda env: not boolean(run(env))


def _minus(tree: Tree) -> Run:
    run = _compile(tree[1])
    return lambda env: arithmetic("-", 0.0 if isinstance(value := run(env), float) else 0, value)


def _if(tree: Tree) -> Run:
    condition, then, otherwise = (_compile(one) for one in tree[1:])
    return lambda env: then(env) if boolean(condition(env)) else otherwise(env)


def _binary(tree: Tree) -> Run:
    _, operator, left_tree, right_tree = tree
    left, right = _compile(left_tree), _compile(right_tree)
    match operator:
        case "&&":
            return _junction(left, right, decides=False)
        case "||":
            return _junction(left, right, decides=True)
        case "==":
            return _equality(left, right)
        case "!=":
            same = _equality(left, right)
            return lambda env: not same(env)
        case "<":
            return lambda env: less(left(env), right(env))
        case ">":
            return lambda env: less(right(env), left(env))
        case "<=":
            return lambda env: not less(right(env), left(env))
        case ">=":
            return lambda env: not less(left(env), right(env))
        case "in":
            return _membership(left, right)
    return lambda env: arithmetic(operator, left(env), right(env))


def _equality(left: Run, right: Run) -> Run:
    def run(env: Env) -> bool:
        one, other = left(env), right(env)
        if isinstance(one, list | dict):
            env[BUDGET].spend(size(one) // ITEMS_A_STEP)
        return equal(one, other)

    return run


def _membership(left: Run, right: Run) -> Run:
    def run(env: Env) -> bool:
        one, container = left(env), right(env)
        if isinstance(container, list):
            env[BUDGET].spend(len(container) // ITEMS_A_STEP)
        return contains(container, one)

    return run


def _junction(left: Run, right: Run, *, decides: bool) -> Run:
    def run(env: Env) -> bool:
        try:
            if boolean(left(env)) is decides:
                return decides
        except CelCost:
            raise
        except CelError:
            if boolean(right(env)) is decides:
                return decides
            raise
        return boolean(right(env))

    return run


def _call(tree: Tree) -> Run:
    _, target, name, arguments = tree
    if target is None:
        return _has(arguments) if name == "has" else _function(name, FUNCTIONS.get(name), arguments)
    if target == ("name", "cel") and name == "bind":
        return bind(arguments[0][1], _compile(arguments[1]), _compile(arguments[2]))
    if target[0] == "name" and (target[1], name) in NAMESPACED:
        return _function(name, NAMESPACED[target[1], name], arguments)
    if name in COMPREHENSIONS and len(arguments) in (2, 3) and arguments[0][0] == "name":
        return _comprehension(name, target, arguments)
    if name in ("optMap", "optFlatMap"):
        return opt_map(arguments[0][1], _compile(target), _compile(arguments[1]), flat=name == "optFlatMap")
    return _function(name, METHODS.get(name), [target, *arguments])


def _comprehension(name: str, target: Tree, arguments: list[Tree]) -> Run:
    variable, body, of_three = arguments[0][1], _compile(arguments[-1]), len(arguments) == 3
    if name == "map" and of_three:
        return comprehension(name, items(_compile(target), variable), body, _compile(arguments[1]))
    second = arguments[1][1] if of_three else ""
    return comprehension(name, items(_compile(target), variable, second), body)


def _function(name: str, function: Callable[..., Any] | None, arguments: list[Tree]) -> Run:
    if function is None:
        raise CelUnsupported(f"the function {name}")
    runs = [_compile(one) for one in arguments]

    def run(env: Env) -> Any:
        given = [one(env) for one in runs]
        env[BUDGET].spend(cost(name, given))
        try:
            return function(*given)
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
