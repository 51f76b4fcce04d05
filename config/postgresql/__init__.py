"""Django's PostgreSQL engine with a connection pool that survives a restart or failover of the server (decision 24)."""
