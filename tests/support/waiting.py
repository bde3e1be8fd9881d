"""Waiting for an event with a deadline: nothing in the tests waits on a bare sleep."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# Sanitizers and a machine with other work on it make everything slower, never wrong.
PATIENCE = float(os.environ.get("ERRAND_TEST_PATIENCE", "1"))


class TooLate(AssertionError):
    """An event that did not come before its deadline."""


def wait_for(event: Callable[[], T], what: str, deadline_s: float = 30, every_s: float = 0.01) -> T:
    """Ask event() until it returns something true, and return that; TooLate names `what` after deadline_s."""
    end = time.monotonic() + deadline_s * PATIENCE
    while True:
        result = event()
        if result:
            return result
        if time.monotonic() >= end:
            raise TooLate(f"waited {deadline_s * PATIENCE:g} s for {what}")
        time.sleep(every_s)
