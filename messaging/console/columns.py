"""Read-only columns with the name of a related object, instead of a link that the user may not be allowed to open."""

from collections.abc import Callable
from typing import Any

from unfold.decorators import display


def name_of(field: str, description: str) -> Callable[[Any, Any], str]:
    def name(_model_admin: Any, row: Any) -> str:
        return str(getattr(row, field) or "-")

    column: Callable[[Any, Any], str] = display(description=description, empty_value="-")(name)
    return column
