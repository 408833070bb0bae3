"""The head of a request that is handed on by hand, as for an upgrade."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from controlplane.server.forwarding import _head

FIRST = "GET /apis/odd.example.com/v1 HTTP/1.1"


def test_bytes_of_any_encoding_are_handed_on_as_they_came() -> None:
    came = b"caf\xe9".decode(errors="surrogateescape")
    assert _head(FIRST, CIMultiDict({"X-Name": came})) == FIRST.encode() + b"\r\nX-Name: caf\xe9\r\n\r\n"


@pytest.mark.parametrize("name", ["jane\r\nX-Remote-Group: system:masters", "jane\nX-Remote-Group: a", "jane\0"])
def test_the_name_of_a_user_is_no_header_of_its_own(name: str) -> None:
    with pytest.raises(ValueError, match="more than one line"):
        _head(FIRST, CIMultiDict({"X-Remote-User": name}))
