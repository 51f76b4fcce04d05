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
from providers.backends.smpp_config import SmppConfig

from messaging import notifier
from messaging.database_threads import DatabaseThreads
from messaging.inbound_limits import inbound_limits
from messaging.models import ProviderCallback
from messaging.services.inbound import receive
from messaging.services.outbound import receipts
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
        try:
            status = await self._threads.run(functools.partial(self._store, pdu.body))
        except Exception as error:  # noqa: BLE001 (whatever it was, the carrier has to repeat it)
            logger.error("%s: a delivery could not be stored (%s)", self._account.slug, type(error).__name__)
            status = CommandStatus.RX_T_APPN
        session.respond(pdu, status=status, body=b"\0")

    def _store(self, body: bytes) -> int:
        """Store a receipt or a reply. Returns the status of the response."""
        try:
            message = ShortMessage.decode(body)
        except MalformedPdu as fault:
            self._keep(body, str(fault), Kind.STATUS)
            return fault.status
        record = raw_record(message)
        try:
            self._ingest(message, record)
        except MalformedCallback as fault:
            self._keep(record, str(fault), Kind.STATUS if is_receipt(message.esm_class, message.tlvs) else Kind.INBOUND)
            return CommandStatus.RX_P_APPN
        return CommandStatus.ROK

    def _ingest(self, message: ShortMessage, record: bytes) -> None:
        """Raises `MalformedCallback`; then nothing is stored."""
        read, now = read_deliver(message, self._config), self._clock()
        if isinstance(read, StatusReport):
            states = receipts.ingest([read], account=self._account, body=record, attempt_id=None, now=now)
            if State.APPLIED in states:
                notifier.notify_webhooks()
        else:
            receive.ingest(read, account=self._account, limits=inbound_limits(), now=now)
            notifier.notify_inbound()

    def _keep(self, body: bytes, note: str, kind: ProviderCallback.Kind) -> None:
        receipts.record(
            account=self._account, body=body, report=None, attempt_id=None, now=self._clock(), kind=kind, note=note
        )
