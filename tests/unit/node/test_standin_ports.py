"""What makes a stand-in a program, and what a server."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.node import standin_ports


@pytest.mark.parametrize(
    ("container", "server"),
    [
        ({}, True),
        ({"command": ["anything"]}, False),
        ({"command": ["sh"], "args": ["-c", "true"]}, False),
        ({"args": ["sleep", "60"]}, False),
        ({"args": ["/bin/sh", "-c", "true"]}, False),
        ({"args": ["-text=hello"]}, True),
        ({"args": ["no-such-program"]}, True),
        ({"args": ["no-such-program"], "stdin": True}, False),
        ({"args": ["-text=hello"], "stdin": True}, True),
        ({"stdin": True}, False),
    ],
)
def test_a_stand_in_is_a_server_unless_the_manifest_names_a_program(container: dict[str, Any], server: bool) -> None:
    assert standin_ports.is_server(container, "standin://busybox") is server


def test_a_real_image_is_never_the_server() -> None:
    assert not standin_ports.is_server({}, "sha256:0123")
