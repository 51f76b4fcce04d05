"""`make run`: the whole product on one machine, under one supervisor (docs/decisions/0002-supervisor.md)."""
