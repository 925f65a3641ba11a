"""Checks of settings, whose errors name the key, the value given and what is allowed."""

import math
from collections.abc import Callable, Collection


def at_least(key: str, value: int, least: int, most: int | None = None) -> int:
    """The value, if it is a whole number of at least ``least``, and at most ``most``; ValueError if not."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{key}={value}: must be a whole number of at least {least}")
    if most is not None and value > most:
        raise ValueError(f"{key}={value}: must be at most {most}")
    return value


def number(
    key: str, value: float, holds: Callable[[float], bool] = math.isfinite, allowed: str = "a finite number"
) -> float:
    """The value, if it is a number for which ``holds`` is true; else ValueError, which says what is ``allowed``."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not holds(value):
        raise ValueError(f"{key}={value}: must be {allowed}")
    return value


def positive(key: str, value: float) -> float:
    """The value, if it is a finite number above 0; ValueError if not."""
    return number(key, value, lambda value: 0 < value < math.inf, "above 0")


def not_negative(key: str, value: float) -> float:
    """The value, if it is a finite number of at least 0; ValueError if not."""
    return number(key, value, lambda value: 0 <= value < math.inf, "at least 0")


def share(key: str, value: float) -> float:
    """The value, if it is between 0 and 1; ValueError if not."""
    return number(key, value, lambda value: 0 <= value <= 1, "between 0 and 1")


def switch(key: str, value: bool) -> bool:
    """The value, if it is true or false; ValueError if not."""
    if not isinstance(value, bool):
        raise ValueError(f"{key}={value}: must be true or false")
    return value


def one_of(key: str, value: str, allowed: Collection[str]) -> str:
    """The value, if it is one of those allowed; ValueError if not."""
    if value not in allowed:
        raise ValueError(f"{key}={value}: must be one of {', '.join(allowed)}")
    return value
