"""Image references: the grammar of distribution/reference, and the defaults that it fills in."""

from __future__ import annotations

import re
from dataclasses import dataclass

from controlplane.node.errors import ImageFailure

_COMPONENT = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_REFERENCE = re.compile(
    rf"(?P<name>(?:(?P<domain>{_DOMAIN})/)?(?P<path>{_COMPONENT}(?:/{_COMPONENT})*))"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?"
    r"(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}))?"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference in full: "nginx" is docker.io, library/nginx, latest."""

    domain: str
    path: str
    tag: str
    digest: str = ""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.domain}/{self.path}{tag}{digest}"


def parse(text: str) -> Reference:
    """Reads a reference; ImageFailure InvalidImageName with upstream's words when it is none."""
    match = _REFERENCE.fullmatch(text)
    if match is None or len(match["name"]) > 255:
        upper = text.lower() != text and _REFERENCE.fullmatch(text.lower())
        why = "repository name must be lowercase" if upper else "invalid reference format"
        raise ImageFailure(
            "InvalidImageName",
            f'Failed to apply default image tag "{text}": couldn\'t parse image name "{text}": {why}',
        )
    domain, path = match["domain"] or "", match["path"]
    if domain and "." not in domain and ":" not in domain and domain != "localhost":
        domain, path = "", f"{domain}/{path}"
    if not domain:
        domain, path = "docker.io", path if "/" in path else f"library/{path}"
    tag = match["tag"] or ("" if match["digest"] else "latest")
    return Reference(domain, path, tag, match["digest"] or "")


def default_pull_policy(text: str) -> str:
    """What imagePullPolicy is when a manifest does not say: Always for ":latest" or no tag."""
    try:
        reference = parse(text)
    except ImageFailure:
        return "IfNotPresent"
    return "Always" if reference.tag == "latest" and not reference.digest else "IfNotPresent"
