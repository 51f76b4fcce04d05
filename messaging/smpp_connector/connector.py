"""The connector: holds its share of the binds of all enabled SMPP accounts, and follows their changes."""

import asyncio
import functools
import logging
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from django.utils import timezone

from messaging.database_faults import DATABASE_FAULTS
from messaging.database_threads import DatabaseThreads
from messaging.smpp_connector import holder
from messaging.smpp_connector.account_binds import AccountBinds
from messaging.smpp_connector.links import Link
from messaging.smpp_connector.stalls import StallWatch
from providers import registry, services, smpp_leases
from providers.backends.smpp_config import SmppConfig
from providers.errors import Misconfigured
from providers.models import ProviderAccount, SmppBind
from providers.smpp_leases import LEASE, BindKey, BindReport

logger = logging.getLogger(__name__)

State = SmppBind.State

# A round reads the accounts, extends the leases, and takes free binds. A change of a bind's state begins one at once.
ROUND_SECONDS: Final = 2.0
DATABASE_THREADS: Final = 4


class Connector:
    """`run` until `stop`. One thread reads accounts and leases; `DATABASE_THREADS` others store receipts and replies."""

    def __init__(self, *, clock: Callable[[], datetime] = timezone.now, lease: timedelta = LEASE) -> None:
        self.holder = holder.new_name()
        self._clock = clock
        self._lease = lease
        self._threads = DatabaseThreads(DATABASE_THREADS, name="smpp")
        self._round_thread = DatabaseThreads(1, name="smpp-leases")
        self._accounts: dict[str, AccountBinds] = {}
        self._held: dict[BindKey, datetime] = {}  # with the end of its lease
        self._wake = asyncio.Event()
        self.stalls = StallWatch()
        self._stopping = False
        self._is_database_available = True
        self._faults: dict[str, str] = {}
        self._unusable: dict[BindKey, BindReport] = {}
        self._unbinding: dict[BindKey, BindReport] = {}  # their leases are kept until they are unbound
        self._tasks: set[asyncio.Task[None]] = set()

    # --- for the workers' requests ------------------------------------------------------------------------------------

    def binds_of(self, slug: str) -> AccountBinds | None:
        """The binds of an account that are held here; None without one."""
        return self._accounts.get(slug)

    def status(self) -> dict[str, Any]:
        """The state of all binds that are held here."""
        return {
            slug: {
                str(number): {"state": report.state, "error": report.error, "in_flight": report.in_flight}
                for number, report in binds.reports().items()
            }
            for slug, binds in self._accounts.items()
        }

    # --- the loop -----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Hold the binds until `stop` is called; then unbind, and give the leases back."""
        self.stalls.start()
        while not self._stopping:
            self._wake.clear()
            try:
                await self._round()
                self._note_database(available=True)
            except DATABASE_FAULTS as error:
                self._note_database(available=False, error=error)
            self._drop_ended_leases()
            try:
                await asyncio.wait_for(self._wake.wait(), ROUND_SECONDS)
            except TimeoutError:
                continue
        await self._end()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    async def _round(self) -> None:
        accounts = {account.slug: account for account in await self._round_thread.run(smpp_leases.accounts)}
        self._follow(accounts)
        if self._held:
            await self._renew()
        wanted = {slug: config.binds for slug, config in self._configs(accounts).items()}
        acquire = functools.partial(
            smpp_leases.acquire,
            holder=self.holder,
            wanted=wanted,
            held=set(self._held),
            now=self._clock(),
            lease=self._lease,
            is_dead=holder.is_dead,
        )
        for key in await self._round_thread.run(acquire):
            self._held[key] = self._clock() + self._lease
            self._start(accounts[key.slug], key.number)

    def _configs(self, accounts: Mapping[str, ProviderAccount]) -> dict[str, SmppConfig]:
        """The configurations that can be used; the fault of another is logged once."""
        configs, faults = {}, {}
        for slug, account in accounts.items():
            try:
                with registry.backend_for(account) as backend:
                    if isinstance(backend.config, SmppConfig):
                        configs[slug] = backend.config
            except Misconfigured as error:
                faults[slug] = error.detail
        for slug, fault in faults.items():
            if self._faults.get(slug) != fault:
                logger.error("account %s cannot be used: %s", slug, fault)
        self._faults = faults
        return configs

    def _follow(self, accounts: Mapping[str, ProviderAccount]) -> None:
        """Stop the binds of accounts that have changed or gone. Those that are still wanted start again with the next lease."""
        configs = self._configs(accounts)
        for slug, binds in list(self._accounts.items()):
            account = accounts.get(slug)
            if account is None or slug not in configs or binds.version != account.updated_at:
                self._stop(binds, binds.numbers)
            else:
                self._stop(binds, {number for number in binds.numbers if number > configs[slug].binds})

    def _start(self, account: ProviderAccount, number: int) -> None:
        binds = self._accounts.get(account.slug)
        if binds is None:
            try:
                with registry.backend_for(account) as backend:
                    config = backend.config
                assert isinstance(config, SmppConfig)  # noqa: S101 (`_configs` has left out all others)
                binds = AccountBinds(account, config, self._threads, changed=self._bind_changed)
            except (OSError, Misconfigured) as error:  # also of TLS
                detail = "the files of ca_file or client_certificate cannot be used"
                logger.error("account %s cannot be used: %s (%s)", account.slug, detail, type(error).__name__)
                self._unusable[BindKey(account.slug, number)] = BindReport(State.DOWN, self._clock(), detail)
                return
            self._accounts[account.slug] = binds
        binds.start(number)

    def _stop(self, binds: AccountBinds, numbers: set[int]) -> None:
        """Unbind and give the leases back, in a task: a carrier that does not answer must not delay the leases of others."""
        slug = binds.account.slug
        if numbers == binds.numbers:
            self._accounts.pop(slug, None)
        self._unbinding |= {BindKey(slug, number): BindReport(State.UNBOUND, self._clock()) for number in numbers}
        for number in numbers:
            self._start_task(self._unbind(binds, number))

    async def _unbind(self, binds: AccountBinds, number: int) -> None:
        key = BindKey(binds.account.slug, number)
        await binds.stop(number)
        del self._unbinding[key]
        release = functools.partial(smpp_leases.release, holder=self.holder, keys=[key], now=self._clock())
        try:
            await self._round_thread.run(release)
        except DATABASE_FAULTS as error:
            logger.warning("a lease is not given back (%s); it ends by itself", type(error).__name__)
        self._held.pop(key, None)
        self._wake.set()
        await binds.finish()

    async def _abandon(self, binds: AccountBinds, number: int) -> None:
        await binds.stop(number)
        await binds.finish()

    def _start_task(self, job: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _renew(self) -> None:
        reports = {
            BindKey(slug, number): report
            for slug, binds in self._accounts.items()
            for number, report in binds.reports().items()
        }
        reports |= self._unusable | self._unbinding
        self._unusable = {}
        now = self._clock()
        renew = functools.partial(smpp_leases.renew, holder=self.holder, reports=reports, now=now, lease=self._lease)
        kept = await self._round_thread.run(renew)
        self._held = {key: now + self._lease if key in kept else end for key, end in self._held.items()}
        for key in set(reports) - kept:
            logger.warning("another connector holds bind %d of account %s", key.number, key.slug)
            self._held[key] = now

    def _drop_ended_leases(self) -> None:
        """Another connector may hold these binds by now."""
        now = self._clock()
        for key, until in list(self._held.items()):
            if until <= now:
                del self._held[key]
                binds = self._accounts.get(key.slug)
                if binds is not None and key.number in binds.numbers:
                    if binds.numbers == {key.number}:
                        del self._accounts[key.slug]
                    self._start_task(self._abandon(binds, key.number))

    async def _end(self) -> None:
        self.stalls.stop()
        for binds in list(self._accounts.values()):
            self._stop(binds, binds.numbers)
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._threads.close()
        self._round_thread.close()

    # --- what happens -------------------------------------------------------------------------------------------------

    def _bind_changed(self, binds: AccountBinds, link: Link) -> None:
        slug = binds.account.slug
        if link.state == State.BOUND:
            logger.info("account %s is bound", slug)
        elif link.state == State.DOWN:
            logger.warning("account %s: %s", slug, link.error)
        elif link.state == State.REFUSED:
            alert = functools.partial(services.note_attention, binds.account, link.error, now=self._clock())
            asyncio.ensure_future(self._round_thread.run(alert)).add_done_callback(_log_failure)
        self._wake.set()

    def _note_database(self, *, available: bool, error: Exception | None = None) -> None:
        if available != self._is_database_available:
            self._is_database_available = available
            if available:
                logger.warning("the database is available again")
            else:
                logger.warning(
                    "the database is unavailable (%s); binds are kept until their leases end", type(error).__name__
                )


def _log_failure(task: "asyncio.Future[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("an alert could not be stored (%s)", type(error).__name__)
