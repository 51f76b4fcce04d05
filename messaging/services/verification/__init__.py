"""One-time codes: sent, checked once, never stored."""
