"""A Django project with one view, which inserts one row: what the product's web processes are compared with.

It has the same server, database and connection pool as the product, and none of its middlewares.
"""
