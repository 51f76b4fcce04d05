"""Claim, commit, send, settle: how a queued message reaches a provider, once.

`claim` takes messages under a lease, `attempts` writes an attempt at the account that `router` chooses, `sending` calls the
provider outside any transaction, and `settle` saves the result. `dispatcher` is the loop around the four; `worker_slots` limits
how many queues a process runs at once. `lost_results` saves results that a worker received but died before saving.
"""

from messaging.services.outbound.dispatch.dispatcher import Dispatcher
from messaging.services.outbound.dispatch.lost_results import settle_cached
from messaging.services.outbound.dispatch.worker_slots import SlotPool

__all__ = ["Dispatcher", "SlotPool", "settle_cached"]
