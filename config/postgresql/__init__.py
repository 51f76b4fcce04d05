"""Django's PostgreSQL engine with a connection pool that recovers from a restart or failover of the server (decision 24)."""
