"""Following live: many connections that wait in one process, without a thread or a database connection for each."""
