"""Links in what a proxied server answers, so that its pages work below the proxy's path.

Paths that begin with a slash, and addresses of the server itself, get the proxy's prefix in front: in the Location
header, and in the attributes of HTML that hold addresses (k8s.io/apimachinery/pkg/util/proxy).
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

REWRITTEN_BOUND = 4 << 20
"""Bytes of HTML; more is handed on as it is."""

_ATTRIBUTES = rb"action|background|cite|classid|codebase|data|formaction|href|icon|longdesc|manifest|poster|src|usemap"
_TAG = re.compile(rb"<[a-zA-Z][^<>]*>")
_LINK = re.compile(rb"(\s(?:" + _ATTRIBUTES + rb")\s*=\s*)([\"'])(/(?!/)[^\"'<>]*)\2", re.IGNORECASE)


def location(value: str, host: str, prefix: str) -> str:
    """A Location header as the proxy's caller needs it; `prefix` is the proxy's path, `host` where it connects to."""
    try:
        parts = urlsplit(value)
    except ValueError:
        # No URL, so none of ours: whoever reads it may make of it what he can.
        return value
    if parts.netloc and parts.netloc != host:
        return value
    if not parts.netloc and not parts.path.startswith("/"):
        return value
    query = f"?{parts.query}" if parts.query else ""
    fragment = f"#{parts.fragment}" if parts.fragment else ""
    return f"{prefix}{parts.path or '/'}{query}{fragment}"


def html(body: bytes, prefix: str) -> bytes:
    """A page whose links to the server's own root lead through the proxy."""
    own = prefix.encode()

    def prefixed(link: re.Match[bytes]) -> bytes:
        begin, quote, path = link.groups()
        return begin + quote + own + path + quote

    return _TAG.sub(lambda tag: _LINK.sub(prefixed, tag[0]), body)
