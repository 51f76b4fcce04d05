"""How many texts one person and one prefix may get, and which prefixes get none."""
