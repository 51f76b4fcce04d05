"""Claim, commit, call, settle: how a queued message reaches a provider, once.

`claim` takes messages under a lease, `begin` chooses their accounts and writes the attempts, `calls` talks to the providers
without any transaction, `settle` writes down what came of it. `drain` is the loop around the four, and `places` says how many
of them a process runs at once. What a worker could not write down any more, `recall` does.
"""

from messaging.services.outbound.dispatch.dispatcher import Dispatcher
from messaging.services.outbound.dispatch.lost_results import settle_cached
from messaging.services.outbound.dispatch.worker_slots import SlotPool

__all__ = ["Dispatcher", "SlotPool", "settle_cached"]
