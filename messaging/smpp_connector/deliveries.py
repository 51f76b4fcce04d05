"""Receipts and replies of a carrier: stored first, then acknowledged.

`deliver_sm_resp` with status 0 is sent after the commit. `ESME_RX_T_APPN` makes the carrier repeat what could not be stored;
`ESME_RX_P_APPN` answers what can never be understood, which is kept as a malformed callback.
"""

import asyncio
import functools
import logging
from collections.abc import Callable
from datetime import datetime

from django.utils import timezone

from messaging import notifier
from messaging.database_threads import DatabaseThreads
from messaging.inbound_limits import inbound_limits
from messaging.models import ProviderCallback
from messaging.services.inbound import receive
from messaging.services.outbound import receipts
from providers.backends.smpp_config import SmppConfig
from providers.contract.callbacks import StatusReport
from providers.errors import MalformedCallback
from providers.models import ProviderAccount
from providers.smpp.constants import CommandStatus
from providers.smpp.deliveries import raw_record, read_deliver
from providers.smpp.pdu import MalformedPdu, Pdu, ShortMessage
from providers.smpp.receipts import is_receipt
from providers.smpp.session import Session

logger = logging.getLogger(__name__)

Kind, State = ProviderCallback.Kind, ProviderCallback.State


class Deliveries:
    """Takes the `deliver_sm` of one account."""

    def __init__(
        self,
        account: ProviderAccount,
        config: SmppConfig,
        threads: DatabaseThreads,
        *,
        clock: Callable[[], datetime] = timezone.now,
    ) -> None:
        self._account = account
        self._config = config
        self._threads = threads
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()

    def receive(self, session: Session, pdu: Pdu) -> None:
        """Store it and answer, in a task of its own."""
        task = asyncio.create_task(self._receive(session, pdu))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _receive(self, session: Session, pdu: Pdu) -> None:
        job = functools.partial(store, pdu.body, account=self._account, config=self._config, now=self._clock())
        try:
            status = await self._threads.run(job)
        except Exception as error:  # noqa: BLE001 (whatever it was, the carrier has to repeat it)
            logger.error("%s: a delivery could not be stored (%s)", self._account.slug, type(error).__name__)
            status = CommandStatus.RX_T_APPN
        session.respond(pdu, status=status, body=b"\0")


def store(body: bytes, *, account: ProviderAccount, config: SmppConfig, now: datetime) -> int:
    """Store the receipt or reply in the body of a `deliver_sm`. Returns the status of the response."""
    keep = functools.partial(receipts.record, account=account, report=None, attempt_id=None, now=now)
    try:
        message = ShortMessage.decode(body)
    except MalformedPdu as fault:
        keep(body=body, note=str(fault))
        return fault.status
    record = raw_record(message)
    try:
        _ingest(message, record, account, config, now)
    except MalformedCallback as fault:
        kind = Kind.STATUS if is_receipt(message) else Kind.INBOUND
        keep(body=record, note=str(fault), kind=kind)
        return CommandStatus.RX_P_APPN
    return CommandStatus.ROK


def _ingest(message: ShortMessage, record: bytes, account: ProviderAccount, config: SmppConfig, now: datetime) -> None:
    """Raises `MalformedCallback`; then nothing is stored."""
    read = read_deliver(message, config)
    if isinstance(read, StatusReport):
        states = receipts.ingest([read], account=account, body=record, attempt_id=None, now=now)
        if State.APPLIED in states:
            notifier.notify_webhooks()
    else:
        receive.ingest(read, account=account, limits=inbound_limits(), now=now)
        notifier.notify_inbound()
