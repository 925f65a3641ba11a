"""Checks of settings, whose errors name the key, the value given and what is allowed."""

import math


def at_least(key: str, value: int, least: int) -> int:
    """The value, if it is a whole number of at least ``least``; ValueError if not."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{key}={value}: must be a whole number of at least {least}")
    return value


def positive(key: str, value: float) -> float:
    """The value, if it is a finite number above 0; ValueError if not."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ValueError(f"{key}={value}: must be a number above 0")
    return value
