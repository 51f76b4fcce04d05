"""How the pages write times: one way everywhere, and always with the zone."""
