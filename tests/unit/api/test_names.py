"""Names and addresses: what is wrong with them, in upstream's words."""

from __future__ import annotations

import pytest

from controlplane.api.names import endpoint_address


@pytest.mark.parametrize("value", ["10.44.1.9", "192.0.2.1", "8.8.8.8", "2001:db8::1", "239.1.1.1"])
def test_traffic_may_be_sent_there(value: str) -> None:
    assert endpoint_address(value) == []


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("0.0.0.0", "may not be unspecified (0.0.0.0)"),
        ("127.0.0.1", "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        ("::1", "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        ("169.254.169.254", "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        ("fe80::1", "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        ("224.0.0.1", "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
        ("localhost", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
    ],
)
def test_a_host_itself_is_no_endpoint(value: str, why: str) -> None:
    assert endpoint_address(value) == [why]
