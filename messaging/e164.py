"""Phone numbers of clients and staff, in international notation. `providers.numbers` reads them, as it reads providers' own."""

from providers.numbers import MAX_INPUT, InvalidNumber, is_canonical, normalise

__all__ = ["MAX_INPUT", "InvalidNumber", "is_canonical", "normalise"]
