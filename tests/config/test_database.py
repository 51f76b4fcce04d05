"""How the database is connected to."""

import psycopg
import pytest
from django.db import connection

from tests.environment import GIVEN_DATABASE_URL


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite is a file")
@pytest.mark.django_db(transaction=True)
def test_a_connection_that_the_server_has_cut_is_replaced_before_anybody_uses_it() -> None:
    connection.close()
    connection.close_pool()  # with what threads of earlier tests have left open; this test is about a pool as it begins
    connection.ensure_connection()
    connection.close()  # back into the pool, as at the end of each request
    with psycopg.connect(GIVEN_DATABASE_URL, autocommit=True) as other:
        cut = other.execute(
            "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid, 30000)) FROM pg_stat_activity WHERE datname = %s",
            [connection.settings_dict["NAME"]],
        ).fetchone()

    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)
    assert cut is not None
    assert cut[0] >= 1
