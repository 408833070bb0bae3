"""Regular expressions matched in time that grows with the text only, as Go's engine does it.

Python's engine tries one way after the other, which for a pattern such as `(a+)+$` and forty letters takes years, and
nothing else runs meanwhile. Here all ways are followed at once (Thompson's construction), on what the parser of `re`
makes of the pattern; which states a letter leads to is kept, so that a text costs a look-up for each letter. It says
whether there is a match and not where; so it is for patterns and texts for which Python's engine is not quick
(`growth`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from importlib import import_module
from typing import Any

parser = import_module("re._parser")
"""Private to the standard library and without types; the same from Python 3.11 on."""

MOST_STATES = 20_000
MOST_KEPT = 100_000
"""States in all the sets that are kept of a pattern, and ways from one set to another: some megabytes."""
MOST_WORK = 500_000
"""States looked at for one text, about 0.2 s; those that are looked up do not count."""
ACCEPTED = 0
"""The number of all sets of states that have a match."""
_WORD = re.compile(r"\w", re.ASCII)
_CATEGORIES = {
    "CATEGORY_DIGIT": re.compile(r"\d", re.ASCII),
    "CATEGORY_NOT_DIGIT": re.compile(r"\D", re.ASCII),
    "CATEGORY_SPACE": re.compile(r"\s", re.ASCII),
    "CATEGORY_NOT_SPACE": re.compile(r"\S", re.ASCII),
    "CATEGORY_WORD": _WORD,
    "CATEGORY_NOT_WORD": re.compile(r"\W", re.ASCII),
}

Node = tuple[Any, Any]
Test = Callable[[str], bool]
State = tuple[str, Any, int]
"""What to do, with what, and the next state; a "split" has its states instead of what."""


class TooLarge(ValueError):
    """The pattern's repeats, written out, are more than can be followed."""


class Undecided(ValueError):
    """The text is too long for the pattern: to follow all ways takes too much."""


class LinearPattern:
    """A pattern in the syntax of `re`; ValueError for what RE2 does not have, TooLarge for what is too long."""

    def __init__(self, pattern: str) -> None:
        parsed = parser.parse(pattern, re.ASCII)
        self._states: list[State] = []
        accept = self._add("accept", None, 0)
        self._start = self._sequence(parsed, accept, parsed.state.flags)
        self._looks_around = any(what == "at" and not _is_of_ends(test) for what, test, _ in self._states)
        self._work = 0
        self._sets: list[frozenset[int]] = [frozenset((0,))]
        self._numbers: dict[frozenset[int], int] = {}
        self._moves: list[dict[str, int]] = [{}]
        self._kept = 0

    def search(self, text: str) -> bool:
        """Whether the pattern matches anywhere in `text`; Undecided where that takes too much."""
        self._work = 0
        if self._looks_around:
            return self._followed(text)
        now = self._closure({self._start}, text, 0)
        if 0 in now or not text:
            return 0 in now
        last = len(text) - 1
        current = self._known(frozenset(now))
        for letter in text[:last]:
            following = self._moves[current].get(letter)
            if following is None:
                # Any place that is neither the begin nor the end will do.
                taken = self._taken(self._sets[current], letter)
                following = self._known(frozenset(self._closure(taken, "  ", 1)), current, letter)
            current = following
            if current == ACCEPTED:
                return True
        return 0 in self._closure(self._taken(self._sets[current], text[last]), text, last + 1)

    def _known(self, states: frozenset[int], before: int = 0, letter: str = "") -> int:
        """The number of a set of states, to which `letter` leads from set number `before`."""
        if self._kept > MOST_KEPT:
            self._sets, self._numbers, self._moves, self._kept = [frozenset((0,))], {}, [{}], 0
            letter = ""
        number = ACCEPTED if 0 in states else self._numbers.setdefault(states, len(self._sets))
        if number == len(self._sets):
            self._sets.append(states)
            self._moves.append({})
            self._kept += len(states)
        if letter:
            self._moves[before][letter] = number
            self._kept += 1
        return number

    def _followed(self, text: str) -> bool:
        """As `search`, for patterns that ask what stands beside a place: nothing can be kept of these."""
        now = self._closure({self._start}, text, 0)
        for place, letter in enumerate(text, 1):
            if 0 in now:
                return True
            now = self._closure(self._taken(now, letter), text, place)
        return 0 in now

    def _taken(self, states: Collection[int], letter: str) -> set[int]:
        """The states after a letter; the pattern may begin at each."""
        self._work += len(states)
        if self._work > MOST_WORK:
            raise Undecided("the text is too long for the pattern")
        found = {self._start}
        for one in states:
            what, test, following = self._states[one]
            if what == "test" and test(letter):
                found.add(following)
        return found

    def _closure(self, states: set[int], text: str, place: int) -> set[int]:
        """All states that can be had from `states` without a letter."""
        found, waiting = set(states), list(states)
        while waiting:
            what, argument, following = self._states[waiting.pop()]
            if what == "split":
                more = argument
            elif what == "at" and _holds(argument, text, place):
                more = (following,)
            else:
                continue
            waiting += [one for one in more if one not in found]
            found.update(more)
        return found

    # From the tree to states, from its end to its beginning.

    def _add(self, what: str, argument: Any, following: int) -> int:
        if len(self._states) >= MOST_STATES:
            raise TooLarge("expression is too large")
        self._states.append((what, argument, following))
        return len(self._states) - 1

    def _sequence(self, nodes: Iterable[Node], following: int, flags: int) -> int:
        for operator, argument in reversed(list(nodes)):
            following = self._one(str(operator), argument, following, flags)
        return following

    def _one(self, operator: str, argument: Any, following: int, flags: int) -> int:
        match operator:
            case "SUBPATTERN":
                _, added, removed, inner = argument
                return self._sequence(inner, following, (flags | added) & ~removed)
            case "BRANCH":
                ways = tuple(self._sequence(way, following, flags) for way in argument[1])
                return self._add("split", ways, 0)
            case "MAX_REPEAT" | "MIN_REPEAT":
                return self._repeat(argument, following, flags)
            case "AT":
                multiline = bool(flags & re.MULTILINE)
                return self._add("at", (str(argument), multiline), following)
        return self._add("test", _test(operator, argument, flags), following)

    def _repeat(self, argument: Any, following: int, flags: int) -> int:
        least, most, inner = argument
        if most == parser.MAXREPEAT:
            loop = self._add("split", (), 0)
            self._states[loop] = "split", (self._sequence(inner, loop, flags), following), 0
            following = loop
        else:
            end = following
            for _ in range(most - least):
                following = self._add("split", (self._sequence(inner, following, flags), end), 0)
        for _ in range(least):
            following = self._sequence(inner, following, flags)
        return following


def _test(operator: str, argument: Any, flags: int) -> Test:
    """Whether a letter is one that a node of the tree takes."""
    test = _plain_test(operator, argument, flags)
    if not flags & re.IGNORECASE:
        return test
    if operator == "NOT_LITERAL" or (operator == "IN" and str(argument[0][0]) == "NEGATE"):
        return lambda letter: test(letter.lower()) and test(letter.upper())
    return lambda letter: test(letter) or test(letter.lower()) or test(letter.upper())


def _plain_test(operator: str, argument: Any, flags: int) -> Test:
    match operator:
        case "LITERAL":
            return chr(argument).__eq__
        case "NOT_LITERAL":
            return chr(argument).__ne__
        case "ANY":
            return (lambda letter: True) if flags & re.DOTALL else "\n".__ne__
        case "RANGE":
            low, high = map(chr, argument)
            return lambda letter: low <= letter <= high
        case "CATEGORY":
            matches = _CATEGORIES[str(argument)].match
            return lambda letter: matches(letter) is not None
        case "IN":
            negated = str(argument[0][0]) == "NEGATE"
            tests = [_plain_test(str(one), what, flags) for one, what in argument[negated:]]
            return lambda letter: any(test(letter) for test in tests) is not negated
    raise ValueError(f"{operator} is not of RE2")


def _is_of_ends(argument: tuple[str, bool]) -> bool:
    """Whether an anchor holds at the begin or the end of the whole text only."""
    where, multiline = argument
    return where in ("AT_BEGINNING_STRING", "AT_END_STRING") or (where in ("AT_BEGINNING", "AT_END") and not multiline)


def _holds(argument: tuple[str, bool], text: str, place: int) -> bool:
    """Whether a place in a text is what an anchor asks for."""
    where, multiline = argument
    match where:
        case "AT_BEGINNING":
            return place == 0 or (multiline and text[place - 1] == "\n")
        case "AT_BEGINNING_STRING":
            return place == 0
        case "AT_END":
            return place == len(text) or (multiline and text[place] == "\n")
        case "AT_END_STRING":
            return place == len(text)
    before, after = (_WORD.match(text[at : at + 1]) is not None if at >= 0 else False for at in (place - 1, place))
    return (before is not after) is (where == "AT_BOUNDARY")
