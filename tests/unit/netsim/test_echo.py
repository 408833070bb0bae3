"""ICMP echo messages: scapy finds them right, and only the very reply counts."""

from __future__ import annotations

import pytest
from scapy.layers.inet import ICMP, IP

from netsim import echo


@pytest.mark.parametrize("data", [b"", b"odd", b"even", bytes(range(256)) * 250])
def test_a_request_has_the_checksum_that_scapy_computes(data: bytes) -> None:
    assert echo.request(0xBEEF, 7, data) == bytes(ICMP(type="echo-request", id=0xBEEF, seq=7) / data)


def test_only_the_reply_to_that_request_is_one() -> None:
    def packet(**fields: int) -> bytes:
        return bytes(IP(dst="10.0.0.1") / ICMP(**{"type": 0, "id": 5, "seq": 1, **fields}) / b"x")

    assert echo.is_reply(packet(), 5, 1)
    others = [packet(type=8), packet(id=6), packet(seq=2), packet()[:24], b"\x45"]
    assert not any(echo.is_reply(other, 5, 1) for other in others)
