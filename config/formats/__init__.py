"""Date and time formats of the console: the same everywhere, and always with the zone."""
