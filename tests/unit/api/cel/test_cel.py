"""Expressions: the language, its libraries, its errors."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.api.cel import Budget, CelCost, CelError, CelSyntaxError, CelUnsupported, compile_expression

SELF: dict[str, Any] = {
    "n": 3,
    "half": 0.5,
    "name": "web-1",
    "list": [1, 2, 3],
    "map": {"a": 1, "b": 2},
    "objects": [{"n": "x", "v": 1}, {"n": "y"}],
    "dotted.name": 1,
    "namespace": "x",
    "none": None,
}


def value(text: str) -> Any:
    return compile_expression(text)({"self": SELF})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("-7 / 2", -3),
        ("-7 % 2", -1),
        ("7.0 / 2.0", 3.5),
        ("1 == 1.0 && 2u > 1u", True),
        ("0x10", 16),
        ("'a' + \"b\" + '''c'''", "abc"),
        (r"'a\n\x41\u0042' == 'a" + "\\n" + "AB'", True),
        (r"r'\d+'", "\\d+"),
        ("self.n >= 3 ? 'big' : 'small'", "big"),
        ("!(self.n < 3) || false", True),
        ("self.name.startsWith('web') && self.name.matches('^[a-z]+-[0-9]$')", True),
        ("size(self.list) == 3 && self.list.size() == 3", True),
        ("self.list.all(x, x > 0)", True),
        ("self.list.exists(x, x == 2)", True),
        ("self.list.exists_one(x, x > 1)", False),
        ("self.list.map(x, x * 2)", [2, 4, 6]),
        ("self.list.map(x, x > 1, x * 2)", [4, 6]),
        ("self.list.filter(x, x != 2)", [1, 3]),
        ("self.map.all(k, self.map[k] > 0)", True),
        ("self.list.all(i, x, x == i + 1)", True),
        ("self.objects.all(o, !has(o.v) || o.v == 1)", True),
        ("has(self.n) && !has(self.absent)", True),
        ("'a' in self.map && !(5 in self.list)", True),
        ("self.?absent.orValue(7)", 7),
        ("self.?n.orValue(7)", 3),
        ("self.?map.a.hasValue()", True),
        ("self.list[?9].orValue(0)", 0),
        ("optional.of(2).optMap(x, x + 1).value()", 3),
        ("self.dotted__dot__name == 1 && self.__namespace__ == 'x'", True),
        ("[1, ?optional.none(), 2]", [1, 2]),
        ("{'a': 1}.a", 1),
        ("self.none == null && self.n != null", True),
        ("type(self.n) == 'int'", True),
        ("string(5) + string(true) + string(1.5)", "5true1.5"),
        ("int('5') + int(2.9)", 7),
        ("duration('1h30m') > duration('89m')", True),
        ("timestamp('2026-01-02T00:00:00Z') - timestamp('2026-01-01T00:00:00Z') == duration('24h')", True),
        ("timestamp('2026-03-01T00:00:00Z').getMonth()", 2),
        ("'a,b'.split(',') == ['a', 'b']", True),
        ("['a', 'b'].join('-')", "a-b"),
        ("'abc'.substring(1, 2) + 'abc'.charAt(0) + 'AbC'.lowerAscii()", "baabc"),
        ("'a-b'.replace('-', '+')", "a+b"),
        ("'abab'.lastIndexOf('b') + 'abab'.indexOf('b')", 4),
        ("'x1y22'.findAll('[0-9]+')", ["1", "22"]),
        ("[3, 1, 2].isSorted() || [1, 2].isSorted()", True),
        ("[1, 2, 3].sum() + [1, 2].max() + [1, 2].min()", 9),
        ("'%s is %d'.format(['n', 3])", "n is 3"),
        ("quantity('1Gi').isGreaterThan(quantity('900Mi'))", True),
        ("quantity('1.5').add(quantity('500m')).compareTo(quantity('2'))", 0),
        ("isIP('10.0.0.1') && !isIP('x') && ip('10.0.0.1').family() == 4", True),
        ("cidr('10.0.0.0/8').containsIP('10.1.2.3') && !cidr('10.0.0.0/8').containsIP(ip('11.0.0.1'))", True),
        ("url('https://example.com:80/x?a=b').getHostname()", "example.com"),
        ("sets.contains([1, 2, 3], [1]) && sets.equivalent([1, 2], [2, 1, 1])", True),
        ("math.greatest(1, 5, 3) + math.least([4, 2])", 7),
        ("!format.dns1123Label().validate('a-b').hasValue()", True),
        ("format.named('uuid').value().validate('x').value()", ["must be of format uuid"]),
        ("cel.bind(x, self.n + 1, x * x)", 16),
        ("false && self.absent", False),
        ("self.absent || true", True),
        ("self.objects.exists(o, o.v == 1)", True),
    ],
)
def test_values(text: str, expected: Any) -> None:
    found = value(text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("self.absent", "no such key: absent"),
        ("self.list[9]", "index out of bounds: 9"),
        ("1 / 0", "division by zero"),
        ("1 + 'a'", "no such overload"),
        ("1 + 1.0", "no such overload"),
        ("!5", "no such overload"),
        ("9223372036854775807 + 1", "integer overflow"),
        ("other", "undeclared reference to 'other'"),
        ("'abc'.substring(5)", "index out of range: 5"),
        (
            "self.big.map(a, self.big.map(b, b))",
            "actual cost limit exceeded",
        ),
        ("self.list.size(1)", "no such overload"),
        ("int('x')", "invalid literal"),
    ],
)
def test_errors(text: str, said: str) -> None:
    with pytest.raises(CelError, match=None) as caught:
        compile_expression(text)({"self": SELF | {"big": list(range(3000))}})
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "self.big.all(a, self.big == self.big)",
        "self.big.exists(a, a in self.big && false)",
        "sets.contains(self.big, self.big)",
        "self.big.distinct()",
        "self.big.all(a, self.big.all(b, b >= 0) || 1 / 0 == 1) || true",
    ],
)
def test_what_costs_too_much_is_not_finished(text: str) -> None:
    with pytest.raises(CelCost):
        compile_expression(text)({"self": {"big": list(range(3000, 6000))}})


def test_expressions_share_a_budget() -> None:
    budget, run = Budget(), compile_expression("self.all(a, self.all(b, true))")
    for _ in range(4):
        assert run({"self": list(range(200))}, budget)
    with pytest.raises(CelCost) as caught:
        run({"self": list(range(200))}, budget)
    assert caught.value.of_all
    assert budget.spent


@pytest.mark.parametrize("text", ["", "1 +", "(1", "a b", "1 ? 2", "self.", "'open", "a.all(x)" + "(", "#", "(" * 100])
def test_what_is_no_expression(text: str) -> None:
    with pytest.raises(CelSyntaxError):
        compile_expression(text)


def test_what_is_not_implemented_is_known_beforehand() -> None:
    for text in ("authorizer.check('x')", "nothing(1)", "self.nothing()"):
        with pytest.raises(CelUnsupported):
            compile_expression(text)


@given(st.text(alphabet="self.map[]()'\"x1+-*/%&|!?:<>=, in", max_size=25))
def test_no_text_is_a_surprise(text: str) -> None:
    try:
        run = compile_expression(text)
    except (CelSyntaxError, CelUnsupported):
        return
    try:
        run({"self": SELF})
    except CelError:
        return
