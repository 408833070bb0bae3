"""`format.NAME()` and `format.named("NAME")`: Kubernetes' named formats, which validate texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from controlplane.api import names
from controlplane.api.cel.values import NONE, Optional
from controlplane.api.custom.formats import FORMATS

Check = Callable[[str], list[str]]


@dataclass(frozen=True, slots=True)
class Format:
    """One named format."""

    name: str
    check: Check


def _simple(name: str) -> Check:
    good = FORMATS[name]
    return lambda text: [] if good(text) else [f"must be of format {name}"]


_CHECKS: dict[str, Check] = {
    "byte": _simple("byte"),
    "date": _simple("date"),
    "datetime": _simple("datetime"),
    "dns1035Label": names.dns1035_label,
    "dns1123Label": names.dns1123_label,
    "dns1123Subdomain": names.dns1123_subdomain,
    "labelValue": names.label_value,
    "qualifiedName": names.label_key,
    "uri": _simple("uri"),
    "uuid": _simple("uuid"),
}


def _of(name: str, check: Check) -> Callable[[], Format]:
    return lambda: Format(name, check)


def named(name: str) -> Optional:
    """The format of that name, if there is one."""
    check = _CHECKS.get(name)
    return Optional(Format(name, check), True) if check is not None else NONE


def validate(wanted: Format, text: str) -> Optional:
    """What is wrong with `text`; nothing where it is of the format."""
    wrong = wanted.check(text)
    return Optional(wrong, True) if wrong else NONE


NAMED_FORMATS = {("format", name): _of(name, check) for name, check in _CHECKS.items()}
