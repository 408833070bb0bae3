"""What every test may use, whatever environment it needs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

Result = TypeVar("Result")

POLL_SECONDS = 0.02


class Eventually:
    """Waits for a condition of the world, and says what was last seen when it never came."""

    def __call__(self, observe: Callable[[], Result], *, within: float = 60.0, message: str = "") -> Result:
        """The first truthy value of `observe`; an AssertionError in it counts as not yet."""
        deadline = time.monotonic() + within
        seen: object = None
        while True:
            try:
                value = observe()
                if value:
                    return value
                seen = value
            except AssertionError as error:
                seen = error
            if time.monotonic() > deadline:
                raise AssertionError(
                    f"not within {within} s: {message or observe.__doc__ or 'condition'}; last: {seen}"
                )
            time.sleep(POLL_SECONDS)


@pytest.fixture
def eventually() -> Eventually:
    return Eventually()
