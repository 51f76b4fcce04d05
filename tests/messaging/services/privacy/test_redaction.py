"""What is left of a message elsewhere once its number is erased."""

import json

import pytest

from messaging.models import IdempotencyRecord
from messaging.services.privacy import redaction
from tests.factories import NOW, UserFactory

pytestmark = pytest.mark.django_db
NUMBER, OTHER = "+14155550101", "+14155550102"


def test_the_response_for_a_repeat_loses_text_parameters_and_number() -> None:
    owner = UserFactory()
    for key, number in (("erased", NUMBER), ("kept", OTHER)):
        response = {"to": number, "from": None, "message": "Hi", "parameters": {"template_id": "1107"}, "media": ["m"]}
        IdempotencyRecord.objects.create(
            owner=owner, key=key, fingerprint="f", response=json.dumps(response), created_at=NOW
        )

    redaction.redact_references(NUMBER, "erased-1")

    stored = {record.key: json.loads(record.response) for record in IdempotencyRecord.objects.all()}
    assert stored == {
        "erased": {"to": "erased-1", "from": None, "message": "", "parameters": None, "media": []},
        "kept": {"to": OTHER, "from": None, "message": "Hi", "parameters": {"template_id": "1107"}, "media": ["m"]},
    }
