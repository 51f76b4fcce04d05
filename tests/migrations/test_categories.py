"""Bulk messages that wait when priorities come keep their place behind the single ones."""

from pathlib import Path

import pytest

from tests.journeys.databases import fresh_database
from tests.migrations.test_count_journal import migrate, run

pytestmark = pytest.mark.django_db


def test_waiting_bulk_messages_stay_behind_single_ones(tmp_path: Path) -> None:
    with fresh_database() as url:
        migrate(tmp_path, url, "0033")
        run(tmp_path, url, "INSERT INTO auth_user (id, password, is_superuser, username, first_name, last_name, email, is_staff, is_active, date_joined) VALUES (7, '', false, 'a', '', '', '', false, true, '2026-11-22')")
        run(tmp_path, url, "INSERT INTO messaging_outboundqueue (name, description, preserve_order, is_paused, routing_strategy, created_at, updated_at) VALUES ('q', '', true, false, 'weighted', '2026-11-22', '2026-11-22')")
        for number, (status, is_bulk) in enumerate([("queued", True), ("queued", False), ("delivered", True)]):
            run(tmp_path, url, message(number, status, is_bulk=is_bulk))

        migrate(tmp_path, url, "0034")

        found = run(tmp_path, url, "SELECT category, priority, parameters FROM messaging_message ORDER BY to_number")
        assert found == [("transactional", 2, None), ("transactional", 1, None), ("transactional", 1, None)]
        migrate(tmp_path, url, "0033")


def message(number: int, status: str, *, is_bulk: bool) -> str:
    values = {
        "id": f"'0191d2a47c1e7b3a9f102f6f3f1c9a5{number}'", "direction": "'outbound'", "status": f"'{status}'", "owner_id": "7",
        "queue_id": "'q'", "is_bulk": str(is_bulk).lower(), "from_number": "''", "to_number": f"'+1415555010{number}'", "text": "'x'",
        "encoding": "'gsm7'", "segments": "1", "reference": "''", "callback_url": "''", "media_count": "0",
        "is_automatic": "false", "provider_message_id": "''", "attempts": "0", "rounds_failed": "0", "error_code": "''",
        "error_detail": "''", "valid_for": "60", "expires_at": "'2026-11-23'", "cancel_requested": "false",
        "created_at": "'2026-11-22'", "updated_at": "'2026-11-22'", "provider_keyword": "''",
        "delivered_at": "'2026-11-22'" if status == "delivered" else "NULL",
    }  # fmt: skip
    return f"INSERT INTO messaging_message ({', '.join(values)}) VALUES ({', '.join(values.values())})"
