"""What messages cost, and what an owner may spend."""
