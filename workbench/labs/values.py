"""A lab's names and addresses: chosen by the seed, and filled in where its files say `${name}`.

Each variable has a generator of its own, so one more variable changes none of the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Network
from random import Random
from typing import Any

from workbench.labs.errors import BrokenLab, LabError

_HOLE = re.compile(r"\$\{([a-z][a-z0-9_.-]*)\}")
SEEDS = 2**31

Look = Callable[[str], str]
"""From the name of a value to the value; KeyError if there is none."""


def choose(lab: str, seed: int, variables: Mapping[str, Any], taken: Sequence[IPv4Network] = ()) -> dict[str, str]:
    """The value of each variable. One that picks among mappings is several: `where.node`, `where.table`.

    Networks overlap neither each other nor what is `taken`; so where something is, the seed alone does not decide.
    """
    chosen: dict[str, Any] = {}
    networks = list(taken)
    for name, spec in variables.items():
        random = Random(f"{lab}/{seed}/{name}")
        try:
            if "network" in spec:
                drawn = _free(random, IPv4Network(spec["network"]), spec["prefix"], networks)
                networks.append(drawn)
                chosen[name] = drawn
            else:
                chosen[name] = _drawn(random, spec, [chosen[other] for other in _several(spec.get("not", ()))])
        except (AttributeError, KeyError, TypeError, ValueError, IndexError) as error:
            raise BrokenLab(f"lab {lab}: variable {name}: {spec!r} cannot be drawn from: {error}") from error
    return dict(_flat(chosen))


def holes(document: Any) -> set[str]:
    """The names of all values that a document asks for."""
    if isinstance(document, str):
        return set(_HOLE.findall(document))
    if isinstance(document, Mapping):
        return {name for pair in document.items() for each in pair for name in holes(each)}
    if isinstance(document, list | tuple):
        return {name for each in document for name in holes(each)}
    return set()


def fill(document: Any, look: Look) -> Any:
    """The document with every `${name}` replaced, keys too."""
    if isinstance(document, str):
        return _HOLE.sub(lambda match: look(match[1]), document)
    if isinstance(document, Mapping):
        return {fill(key, look): fill(value, look) for key, value in document.items()}
    if isinstance(document, list | tuple):
        return [fill(each, look) for each in document]
    return document


def _drawn(random: Random, spec: Any, others: Sequence[Any]) -> Any:
    if "pick" in spec:
        return random.choice([each for each in spec["pick"] if each not in others])
    low, high = spec["number"]
    return random.choice([number for number in range(low, high + 1) if str(number) not in map(str, others)])


def _free(random: Random, whole: IPv4Network, prefix: int, taken: Sequence[IPv4Network]) -> IPv4Network:
    size = 1 << (32 - prefix)
    for number in random.sample(range(1 << (prefix - whole.prefixlen)), k=1 << (prefix - whole.prefixlen)):
        drawn = IPv4Network((int(whole[0]) + size * number, prefix))
        if not any(drawn.overlaps(other) for other in taken):
            return drawn
    raise LabError(
        f"no /{prefix} of {whole} is free on this host", "remove another cluster: netsim status, netsim down"
    )


def _several(said: Any) -> list[str]:
    return [said] if isinstance(said, str) else list(said)


def _flat(chosen: Mapping[str, Any]) -> list[tuple[str, str]]:
    flat: list[tuple[str, str]] = []
    for name, value in chosen.items():
        if isinstance(value, Mapping):
            flat += [(f"{name}.{key}", str(each)) for key, each in value.items()]
        else:
            flat.append((name, str(value)))
    return flat
