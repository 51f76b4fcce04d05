"""Fields that name somebody. A foreign key that is only read would be a link, whether or not its page may be seen."""

from collections.abc import Callable
from typing import Any

from unfold.decorators import display


def name_of(field: str, description: str) -> Callable[[Any, Any], str]:
    @display(description=description, empty_value="-")
    def name(_model_admin: Any, row: Any) -> str:
        return str(getattr(row, field) or "-")

    return name
