"""With two web processes and two workers, every process reports the same numbers, which match the database."""

import json

import requests
from prometheus_client.parser import text_string_to_metric_families

from providers.simulator.magic_numbers import MAGIC_NUMBERS
from tests.journeys.client import ON_THE_WAY, Client, numbers
from tests.journeys.stack import Stack

COUNT = 1_000  # at least this many, including earlier journeys
MAGIC = ("+15005559901", "+15005559902", "+15005559906", "+15005559907", "+15005559908")
IN_DATABASE = """
import json
from django.db.models import Count
from collections import Counter
from messaging.models import DeliveryAttempt, Message, ProviderCallback
from messaging.services import transitions
def rows(queryset, *names):
    return [[*map(str, key), n] for *key, n in queryset.order_by().values_list(*names).annotate(n=Count("pk"))]
print(json.dumps({
    "statuses": [[word, n] for word, n in Counter(
        event.to_status for message in Message.objects.all() for event in transitions.history(message)
    ).items()],
    "now": rows(Message.objects, "status"),
    "attempts": rows(DeliveryAttempt.objects, "provider_id", "outcome"),
    "callbacks": rows(ProviderCallback.objects, "provider_id", "state"),
}))
"""


def scrape(stack: Stack) -> dict[str, list]:
    """The counters in the shape of `IN_DATABASE`; zeros are omitted because the database has no rows for them."""
    response = requests.get(stack.url("/metrics"), timeout=30)
    response.raise_for_status()
    labels = {
        "switchboard_message_statuses_total": ("statuses", ("status",)),
        "switchboard_messages": ("now", ("status",)),
        "switchboard_attempts_total": ("attempts", ("provider", "outcome")),
        "switchboard_provider_callbacks_total": ("callbacks", ("provider", "state")),
    }
    found: dict[str, dict[tuple, int]] = {name: {} for name, _ in labels.values()}
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            if sample.name in labels and sample.value:
                name, words = labels[sample.name]
                key = tuple(sample.labels[word] for word in words)
                found[name][key] = found[name].get(key, 0) + int(sample.value)
    return {name: sorted([*key, count] for key, count in counts.items()) for name, counts in found.items()}


def reached_a_carrier(stack: Stack) -> set[str]:
    log = stack.sandbox_log()
    return {entry["reference"] for entry in (*log["accepted"], *log["refused"])}


def test_after_a_thousand_messages_the_counters_match_the_database(stack: Stack, client: Client) -> None:
    client.send_batch(numbers(max(0, COUNT - len(MAGIC) - len(reached_a_carrier(stack)))))
    client.wait_until_none_is(ON_THE_WAY, seconds=240)
    receipts = len(stack.sandbox_log()["accepted"]) + sum(len(MAGIC_NUMBERS[number].receipts) for number in MAGIC)
    for number in MAGIC:
        client.send(number)
    client.wait_until_none_is(ON_THE_WAY, seconds=240)
    # A second receipt and a stale one arrive after the message has its final status.
    stack.wait_until(lambda: stack.receipts_posted() >= receipts)
    messages = len(reached_a_carrier(stack))

    answers = [scrape(stack) for _ in range(8)]

    reported = {
        name: sorted(rows)
        for name, rows in json.loads(stack.manage("shell", "--verbosity", "0", "-c", IN_DATABASE)).items()
    }
    reported["callbacks"] = [row for row in reported["callbacks"] if row[1] != "unmatched"]
    assert sum(count for _, count in reported["now"]) == messages >= COUNT
    assert answers == [reported] * 8
