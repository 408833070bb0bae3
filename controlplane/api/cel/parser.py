"""From text to a tree: tuples that begin with what they are.

("literal", value)  ("name", n)  ("select", tree, field, optional)  ("index", tree, key, optional)
("call", None or tree, function, [trees])  ("list", [(tree, optional)])  ("map", [(key, value, optional)])
("not", tree)  ("minus", tree)  ("binary", operator, left, right)  ("if", condition, then, otherwise)
"""

from __future__ import annotations

import re
from typing import Any

from controlplane.api.cel.errors import CelSyntaxError

Tree = tuple[Any, ...]

DEEPEST = 60

_TOKEN = re.compile(
    r"""\s+|//[^\n]*
    |(?P<float>\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+)
    |(?P<hex>0[xX][0-9a-fA-F]+)(?P<hexu>[uU])?
    |(?P<int>\d+)(?P<intu>[uU])?
    |(?P<prefix>[rRbB]{0,2})(?P<string>\"{3}(?:\\.|[^\\])*?\"{3}|'{3}(?:\\.|[^\\])*?'{3}
        |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')
    |(?P<name>[A-Za-z_]\w*)|`(?P<quoted>[^`\n]+)`
    |(?P<op>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{}])""",
    re.VERBOSE | re.ASCII | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|X[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2}|.)", re.DOTALL)
_PLAIN = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_RELATIONS = ("==", "!=", "<", "<=", ">", ">=", "in")
_LEVELS = (("||",), ("&&",), _RELATIONS, ("+", "-"), ("*", "/", "%"))
_CONSTANTS = {"true": True, "false": False, "null": None}

Token = tuple[str, Any]


def parse(text: str) -> Tree:
    """The tree of an expression; CelSyntaxError when it is none."""
    parser = _Parser(_tokens(text), text)
    tree = parser.expression()
    parser.expect("end", "")
    return tree


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise CelSyntaxError(f"Syntax error: token recognition error at: '{text[position : position + 10]}'")
        position = match.end()
        if match["float"]:
            tokens.append(("literal", float(match["float"])))
        elif match["hex"] or match["int"]:
            tokens.append(("literal", int(match["hex"] or match["int"], 16 if match["hex"] else 10)))
        elif match["string"] is not None:
            tokens.append(("literal", _string(match["prefix"].lower(), match["string"])))
        elif match["name"]:
            name = match["name"]
            if name in _CONSTANTS:
                tokens.append(("literal", _CONSTANTS[name]))
            else:
                tokens.append(("op", "in") if name == "in" else ("name", name))
        elif match["quoted"]:
            tokens.append(("name", match["quoted"]))
        elif match["op"]:
            tokens.append(("op", match["op"]))
    return [*tokens, ("end", "")]


def _string(prefix: str, quoted: str) -> str | bytes:
    quote = 3 if quoted[:3] in ('"""', "'''") and len(quoted) >= 6 else 1
    body = quoted[quote:-quote]
    if "r" not in prefix:
        body = _ESCAPE.sub(_unescaped, body)
    return body.encode() if "b" in prefix else body


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] in "xXuU" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code.isdigit() and len(code) == 3:
        return chr(int(code, 8))
    return _PLAIN.get(code, code)


class _Parser:
    def __init__(self, tokens: list[Token], text: str) -> None:
        self._tokens = tokens
        self._text = text
        self._position = 0
        self._depth = 0

    def expect(self, kind: str, value: Any) -> None:
        if self._tokens[self._position] != (kind, value):
            found = self._tokens[self._position][1] or "<EOF>"
            raise CelSyntaxError(f"Syntax error: mismatched input '{found}' expecting '{value or '<EOF>'}'")
        self._position += 1

    def expression(self) -> Tree:
        self._depth += 1
        if self._depth > DEEPEST:
            raise CelSyntaxError("expression recursion limit exceeded")
        tree = self._binary(0)
        if self._take("?"):
            then = self.expression()
            self.expect("op", ":")
            tree = ("if", tree, then, self.expression())
        self._depth -= 1
        return tree

    def _take(self, operator: str) -> bool:
        if self._tokens[self._position] == ("op", operator):
            self._position += 1
            return True
        return False

    def _binary(self, level: int) -> Tree:
        if level == len(_LEVELS):
            return self._unary()
        tree = self._binary(level + 1)
        while True:
            kind, value = self._tokens[self._position]
            if kind != "op" or value not in _LEVELS[level]:
                return tree
            self._position += 1
            tree = ("binary", value, tree, self._binary(level + 1))

    def _unary(self) -> Tree:
        if self._take("!"):
            return ("not", self._unary())
        if self._take("-"):
            inner = self._unary()
            if inner[0] == "literal" and type(inner[1]) in (int, float):
                return ("literal", -inner[1])
            return ("minus", inner)
        return self._member()

    def _member(self) -> Tree:
        tree = self._primary()
        while True:
            if self._take("."):
                tree = self._selected(tree)
            elif self._take("["):
                optional = self._take("?")
                key = self.expression()
                self.expect("op", "]")
                tree = ("index", tree, key, optional)
            else:
                return tree

    def _selected(self, tree: Tree) -> Tree:
        optional = self._take("?")
        kind, name = self._tokens[self._position]
        if kind == "op" and name == "in":
            kind = "name"
        if kind != "name":
            raise CelSyntaxError(f"Syntax error: no viable alternative at input '.{name}'")
        self._position += 1
        if not optional and self._take("("):
            return ("call", tree, name, self._arguments(")"))
        return ("select", tree, name, optional)

    def _arguments(self, end: str) -> list[Tree]:
        found: list[Tree] = []
        while not self._take(end):
            if found:
                self.expect("op", ",")
                if self._take(end):
                    break
            found.append(self.expression())
        return found

    def _primary(self) -> Tree:
        kind, value = self._tokens[self._position]
        self._position += 1
        if kind == "literal":
            return ("literal", value)
        if kind == "name":
            return ("call", None, value, self._arguments(")")) if self._take("(") else ("name", value)
        if value == "(":
            tree = self.expression()
            self.expect("op", ")")
            return tree
        if value == "[":
            return ("list", self._items())
        if value == "{":
            return ("map", self._entries())
        if value == "." and self._tokens[self._position][0] == "name":
            return self._primary()
        raise CelSyntaxError(f"Syntax error: mismatched input '{value or '<EOF>'}' in '{self._text[:60]}'")

    def _items(self) -> list[tuple[Tree, bool]]:
        found: list[tuple[Tree, bool]] = []
        while not self._take("]"):
            if found:
                self.expect("op", ",")
                if self._take("]"):
                    break
            optional = self._take("?")
            found.append((self.expression(), optional))
        return found

    def _entries(self) -> list[tuple[Tree, Tree, bool]]:
        found: list[tuple[Tree, Tree, bool]] = []
        while not self._take("}"):
            if found:
                self.expect("op", ",")
                if self._take("}"):
                    break
            optional = self._take("?")
            key = self.expression()
            self.expect("op", ":")
            found.append((key, self.expression(), optional))
        return found
