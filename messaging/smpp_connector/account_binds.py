"""The binds of one account that this connector holds, as the account is configured now."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

from messaging.database_threads import DatabaseThreads
from messaging.smpp_connector import late_answers
from messaging.smpp_connector.deliveries import Deliveries
from messaging.smpp_connector.links import Link, LinkSettings, tls_context
from messaging.smpp_connector.submissions import PartOf, Submission, Submitter
from providers.backends.smpp_config import SmppConfig
from providers.models import ProviderAccount, SmppBind
from providers.smpp.constants import CommandId
from providers.smpp.pdu import Bind, Pdu
from providers.smpp.session import SessionLimits
from providers.smpp_leases import BindReport

logger = logging.getLogger(__name__)

State = SmppBind.State
# A worker that was told "no answer" needs this long, at most, to write it down; then a late answer corrects it.
SETTLING_SECONDS: Final = 5.0
# A bind of several connections is as good as the worst of them.
WORST_FIRST: Final = (State.REFUSED, State.DOWN, State.CONNECTING, State.UNBOUND, State.BOUND)


class AccountBinds:
    """The links of one account by the number of their bind. `changed` is called after each change of a link's state."""

    def __init__(
        self,
        account: ProviderAccount,
        config: SmppConfig,
        threads: DatabaseThreads,
        *,
        changed: Callable[["AccountBinds", Link], None],
    ) -> None:
        """Raises `OSError` or `ssl.SSLError` for certificate files that cannot be used."""
        self.account = account
        self.config = config
        self.version: datetime = account.updated_at
        self._links: dict[int, list[Link]] = {}
        self._settings = _settings(config)
        self._deliveries = Deliveries(account, config, threads)
        self._threads = threads
        self._submitter = Submitter(self.links, response_seconds=config.response_timeout)
        self._changed = changed
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def numbers(self) -> set[int]:
        return set(self._links)

    def links(self) -> Sequence[Link]:
        return [link for links in self._links.values() for link in links]

    def start(self, number: int) -> None:
        self._links[number] = [self._link(mode) for mode in _modes(self.config)]
        for link in self._links[number]:
            link.start()

    async def stop(self, number: int) -> None:
        """Unbind. New submissions use other binds at once."""
        await asyncio.gather(*(link.stop() for link in self._links.pop(number)))

    async def submit(self, submission: Submission, *, before_write: Callable[[], Awaitable[None]]) -> None:
        """Raises `NotSubmitted`."""
        await self._submitter.submit(submission, before_write=before_write)

    def not_reported(self, submission: Submission) -> None:
        """The submission's worker did not get the answers: save them."""
        self._save_late(submission, after=0.0)

    def reports(self) -> dict[int, BindReport]:
        return {number: self._report(links) for number, links in self._links.items()}

    def _report(self, links: Sequence[Link]) -> BindReport:
        worst = min(links, key=lambda link: WORST_FIRST.index(link.state))
        in_flight = sum(link.session.in_flight for link in links if link.session is not None)
        window = self.config.window * sum(link.sends for link in links)
        return BindReport(worst.state, worst.since, worst.error, in_flight, window)

    def _link(self, mode: CommandId) -> Link:
        return Link(
            self._settings,
            mode,
            receive=self._deliveries.receive,
            late=self._answered_late,
            changed=lambda link: self._changed(self, link),
        )

    def _answered_late(self, context: object, pdu: Pdu) -> None:
        if isinstance(context, PartOf):
            context.submission.answers[context.position] = pdu
            self._save_late(context.submission, after=SETTLING_SECONDS)

    def _save_late(self, submission: Submission, *, after: float) -> None:
        async def save() -> None:
            await asyncio.sleep(after)
            await late_answers.save_in(self._threads, submission)

        task = asyncio.create_task(save())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Save the late answers that wait."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=SETTLING_SECONDS + 1)


def _modes(config: SmppConfig) -> tuple[CommandId, ...]:
    if config.bind == "transceiver":
        return (CommandId.BIND_TRANSCEIVER,)
    return (CommandId.BIND_TRANSMITTER, CommandId.BIND_RECEIVER)


def _settings(config: SmppConfig) -> LinkSettings:
    certificate = config.client_certificate
    files = (certificate.cert_file, certificate.key_file or certificate.cert_file) if certificate else None
    return LinkSettings(
        host=config.host,
        port=config.port,
        bind=Bind(config.system_id, config.password.get_secret_value(), config.system_type),
        limits=SessionLimits(
            window=config.window,
            enquire_link_seconds=config.enquire_link_seconds,
            response_seconds=config.response_timeout,
            bind_seconds=config.response_timeout + 1,
        ),
        tls=tls_context(ca_file=config.ca_file, certificate=files) if config.tls else None,
    )
