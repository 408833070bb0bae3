"""Uids: random, and each given once."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

from controlplane.api.uids import new_uid


def test_no_two_are_alike_whoever_asks() -> None:
    with ThreadPoolExecutor(4) as threads:
        made = [uid for part in threads.map(lambda _: [new_uid() for _ in range(1000)], range(4)) for uid in part]
    assert len(set(made)) == 4000
    assert {uuid.UUID(uid).version for uid in made} == {4}
    assert {uuid.UUID(uid).variant for uid in made} == {uuid.RFC_4122}
