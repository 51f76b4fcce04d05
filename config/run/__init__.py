"""`make run`: all processes on one machine under one supervisor (docs/decisions/0002-supervisor.md)."""
