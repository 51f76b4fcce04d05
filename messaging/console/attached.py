"""Typed attributes on objects of other classes, such as a value that a list computes for its rows."""

from typing import Generic, TypeVar

Value = TypeVar("Value")


class Attached(Generic[Value]):
    """The attribute `name` of any object. Templates read it by that name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def set(self, owner: object, value: Value) -> None:
        setattr(owner, self._name, value)

    def of(self, owner: object) -> Value:
        """Return the attached value. Raises `AttributeError` if there is none."""
        value: Value = getattr(owner, self._name)
        return value
