"""Claim, commit, call, settle: how a queued message reaches a provider, once.

`claim` takes messages under a lease, `begin` chooses their accounts and writes the attempts, `calls` talks to the providers
without any transaction, `settle` writes down what came of it. `drain` is the loop around the four, and `places` says how many
of them a process runs at once. What a worker could not write down any more, `recall` does.
"""

from messaging.services.dispatch.drain import Dispatcher
from messaging.services.dispatch.places import Places
from messaging.services.dispatch.recall import settle_remembered

__all__ = ["Dispatcher", "Places", "settle_remembered"]
