import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.utils import timezone

from messaging.smpp_server import batches
from messaging.smpp_server.batches import BatchSubmitter, StoredBatch
from providers.smpp.constants import CommandStatus
from tests.factories import UserFactory

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_fault_of_one_batch_leaves_no_submission_unanswered(monkeypatch) -> None:
    owner, answers = UserFactory(), []

    def fail_once(_owner: Any, batch: list[Any], _now: Any) -> StoredBatch:
        if not answers:
            raise LookupError("a fault of the program")
        return StoredBatch([CommandStatus.ROK] * len(batch))

    monkeypatch.setattr(batches, "store_batch", fail_once)

    async def scenario() -> None:
        with ThreadPoolExecutor(1) as executor:
            submitter = BatchSubmitter(executor, clock=timezone.now)
            for _ in range(batches.MAX_BATCH + 1):
                submitter.add(owner, object(), answers.append)  # type: ignore[arg-type]
            async with asyncio.timeout(5):
                while len(answers) <= batches.MAX_BATCH:  # noqa: ASYNC110 (the answers are the only sign)
                    await asyncio.sleep(0.001)

    asyncio.run(scenario())
    assert answers == [CommandStatus.RSYSERR] * batches.MAX_BATCH + [CommandStatus.ROK]
