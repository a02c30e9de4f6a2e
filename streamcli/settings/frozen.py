"""A value that is made once, by the names of its fields, and never changes."""

from __future__ import annotations

from typing import Any, NoReturn, Self, dataclass_transform


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Frozen:
    """A value whose fields are its class's annotations, with defaults, and never change.

    A dataclass would do the same, but its import costs every start 5 ms.
    """

    def __init__(self, **values: Any) -> None:
        if unknown := values.keys() - type(self).__annotations__.keys():
            raise TypeError(f"{type(self).__name__} has no field {', '.join(sorted(unknown))}")
        self.__dict__.update(values)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen: use but({name}=...)")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def but(self, **values: Any) -> Self:
        """Return a copy with other values for these fields."""
        return type(self)(**{**self.__dict__, **values})
