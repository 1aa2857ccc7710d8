"""How many objects of a kind are alive at a time."""

import weakref
from typing import Any


class Alive:
    """Calling it with an object returns the object; `most` is how many of them were alive together."""

    def __init__(self) -> None:
        self.references: list[weakref.ref] = []
        self.most = 0

    def __call__(self, value: Any) -> Any:
        self.references = [one for one in self.references if one() is not None] + [weakref.ref(value)]
        self.most = max(self.most, len(self.references))
        return value
