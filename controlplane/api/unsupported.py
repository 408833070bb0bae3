"""Fields that are accepted and not honoured by this version: nothing is ignored without a word.

The table names fields by their path below the pod spec; "[]" stands for each item of a list. A
field leaves the table when something honours it. Each use of one gives a text for the HTTP
`Warning` header, so kubectl prints it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from controlplane.api.types import Object

POD_SPEC: dict[str, str] = {}
"""Field of the pod spec to what happens instead."""


def pod_warnings(obj: Object) -> list[str]:
    """The warnings for a pod."""
    return list(_warnings(obj["spec"], POD_SPEC, "spec"))


def template_warnings(obj: Object) -> list[str]:
    """The warnings for anything with a pod template."""
    return list(_warnings(obj["spec"]["template"]["spec"], POD_SPEC, "spec.template.spec"))


def _warnings(fields: Mapping[str, Any], table: Mapping[str, str], path: str) -> Iterator[str]:
    for name, text in table.items():
        for place in _places(fields, name.split("."), path):
            yield f"{place}: {text}"


def _places(value: Any, names: list[str], path: str) -> Iterable[str]:
    """The paths at which `names` lead to a value that says something."""
    if not names:
        if value not in (None, False, "", [], {}):
            yield path
        return
    name, rest = names[0], names[1:]
    field = name.removesuffix("[]")
    if not isinstance(value, dict) or field not in value:
        return
    if name.endswith("[]"):
        for index, item in enumerate(value[field]):
            yield from _places(item, rest, f"{path}.{field}[{index}]")
    else:
        yield from _places(value[field], rest, f"{path}.{field}")
