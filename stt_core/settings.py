"""Settings: frozen dataclasses that check their values when they are made; a bad one ends in a one-line message."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from typing import Any, Literal, TypeVar, dataclass_transform, get_type_hints

from pydantic import ConfigDict, ValidationError
from pydantic.dataclasses import dataclass

from stt_core.errors import InputError

Kind = TypeVar("Kind")
Chosen = Literal["32-true", "bf16-mixed", "16-mixed", "64-true"]  # as Lightning Fabric names them
Precision = Literal["auto", Chosen]  # auto = what is faster on the device (`distributed.chosen_precision`)

# pydantic's kind of error -> what is asked for in its place; of others, what pydantic says.
WANTED: dict[str, Callable[[dict], str]] = {
    "greater_than_equal": lambda context: f"give {context['ge']:g} or more",
    "greater_than": lambda context: f"give more than {context['gt']:g}",
    "less_than_equal": lambda context: f"give {context['le']:g} or less",
    "multiple_of": lambda context: f"give a multiple of {context['multiple_of']:g}",
    "literal_error": lambda context: f"choose {context['expected'].replace(chr(39), '')}",
    "finite_number": lambda context: "give a finite number",
    "dataclass_type": lambda context: "give a mapping",
    "tuple_type": lambda context: "give a list",
    "missing": lambda context: "give one value more",
}


@dataclass_transform(frozen_default=True)
def checked(kind: type[Kind]) -> type[Kind]:
    """Make a class of annotated fields a frozen dataclass that checks them, also those given as nested dicts.

    Numbers may be text, which is what YAML makes of 1e-3, and tuples lists. Limits are given by pydantic's `Field`,
    checks of several fields in `__post_init__`. Making one raises InputError for a bad value or an unknown field.
    """
    made: Any = dataclass(kind, frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
    make = made.__init__

    @wraps(make)
    def __init__(self: Any, *arguments: Any, **values: Any) -> None:
        try:
            make(self, *arguments, **values)
        except ValidationError as error:
            raise InputError(_sentence(made, dict(error.errors(include_url=False)[0]))) from None

    made.__init__ = __init__
    return made


def _sentence(kind: Any, error: dict) -> str:
    """One of pydantic's errors as a sentence that names the field as a profile does."""
    names: list[str] = []
    for part in map(str, error["loc"]):  # at the end, pydantic adds an element's number or a kind out of a union
        if not is_dataclass(kind) or part not in (hints := get_type_hints(kind)):
            break
        names.append(part)
        kind = hints[part]
    name, context = ".".join(names), error.get("ctx", {})
    if error["type"] == "value_error":  # out of a `__post_init__`
        return f"{name}: {context['error']}" if name else str(context["error"])
    if is_dataclass(kind) and len(names) < len(error["loc"]):
        known = ", ".join(field.name for field in fields(kind))
        return f"unknown field {'.'.join(map(str, error['loc']))}; {getattr(kind, '__name__', '')} has {known}."
    said = error["msg"].removeprefix("Input should be ").partition(",")[0]
    return f"{name} is {error['input']!r}; {WANTED.get(error['type'], lambda context: f'give {said}')(context)}."
