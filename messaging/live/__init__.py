"""Live streams and long polls: many open connections in one process, without a thread or database connection for each."""
