"""Settings out of their range, answered as soon as a settings object is made: the field, its value and what to give."""

import math
from typing import Any

from stt_core.errors import InputError

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "64-true")  # as Lightning Fabric names them


def check_least(settings: Any, **least: float) -> None:
    """Every named field is a finite number, that or more.

    Raises:
        InputError: one isn't.
    """
    for name, low in least.items():
        value = getattr(settings, name)
        if not low <= value < math.inf:
            raise InputError(f"{name} is {value}; give {low:g} or more.")


def check_above(settings: Any, **bounds: float) -> None:
    """Every named field is a finite number above that. Raises as `check_least`."""
    for name, bound in bounds.items():
        value = getattr(settings, name)
        if not bound < value < math.inf:
            raise InputError(f"{name} is {value}; give more than {bound:g}.")


def check_choice(settings: Any, **choices: tuple) -> None:
    """Every named field is one of its choices. Raises as `check_least`."""
    for name, known in choices.items():
        value = getattr(settings, name)
        if value not in known:
            raise InputError(f"{name} is {value!r}; choose {' or '.join(map(str, known))}.")
