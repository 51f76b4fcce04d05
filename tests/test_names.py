"""Names in the product: public classes have unique names, and names that were replaced do not return."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("config", "media_store", "messaging", "providers", "scheduling")

# Old name: its replacement. Names are compared without leading underscores.
OLD_MODULES = {
    "acts": "row_actions",
    "addresses": "client_ip",
    "begin": "attempts",
    "bodies": "text_privacy",
    "by_hand": "manage_environment",
    "calls": "sending",
    "candidates": "ProviderAccount.as_candidate",
    "deletion": "deletion_preview",
    "departure": "send_gate",
    "departures": "delayed_calls",
    "digests": "fingerprints",
    "doorbell": "notifier",
    "drain": "dispatcher",
    "journal": "request_log",
    "live_guests": "live_access",
    "look": "theme",
    "lost_texts": "unreadable",
    "magic": "magic_numbers",
    "mentions": "redaction",
    "names": "columns",
    "observe": "record_results",
    "overview": "health_summary",
    "people": "users",
    "places": "worker_slots, connection_limit",
    "reading": "queries",
    "recall": "lost_results",
    "recurrence_series": "recurrence_set",
    "room": "concurrency",
    "sent_ids": "result_cache",
    "slashes": "trailing_slash",
    "standing": "account_state",
    "trail": "log_context",
    "trial": "test_send",
    "wakeups": "pubsub",
}
OLD_CLASSES = {
    "Accounts": "Router",
    "Act": "RowAction",
    "ActsMixin": "RowActionsMixin",
    "Admitted": "AcceptedStream",
    "Air": "InFlight",
    "Answer": "SendResult, HttpResponse",
    "BadProof": "InvalidSignature",
    "Call": "Attempt",
    "Departures": "DelayedCalls",
    "DiscreetFormatter": "RedactingFormatter",
    "Draft": "MessageInput",
    "Follower": "Subscription",
    "Guest": "Subscriber",
    "InboundText": "InboundMessage",
    "Job": "WebhookJob",
    "Journal": "RequestLog",
    "Jump": "SkipResult",
    "Lane": "QueueRunner",
    "Made": "CallResult",
    "Measure": "SegmentCount, Metric",
    "MomentField": "UtcDateTimeField",
    "Move": "Transition",
    "NoPlace": "TooManyConnections",
    "NobodyAdded": "NoValidRecipients",
    "NotYet": "RetryAfter",
    "OutboundText": "OutboundMessage",
    "Place": "Route",
    "Places": "SlotPool, ConnectionLimiter",
    "Plan": "ScheduleInput",
    "Post": "Active",
    "Postponed": "Deferred",
    "Question": "StatusQuery",
    "Recorder": "Tracer",
    "Rendered": "RenderedMessage",
    "Room": "EndpointConcurrency",
    "Standing": "AccountState",
    "StateAway": "SharedStateUnavailable",
    "StopAsked": "StopRequested",
    "Tally": "CounterBatch",
    "TrailFilter": "LogContextFilter",
    "TrialAnswer": "TestSendResult",
    "Turn": "Slot, RoutingRequest",
    "Verdict": "RoutingDecision",
    "Visit": "RequestStage",
    "Wait": "Deferral",
    "Wish": "SlotRequest, EndpointChanges",
}
OLD_FUNCTIONS = {
    "answered": "acknowledge",
    "applies": "is_available",
    "bell": "wakeup",
    "body_among_others": "serialize_message_lenient",
    "book": "reserve",
    "consequences": "deletion_preview",
    "departs_at": "not_before",
    "discreet": "redact",
    "drain": "run",
    "errands": "background_tasks",
    "give_back": "release",
    "hear": "clear",
    "keyed": "hmac_digest",
    "lanes": "origin_endpoints",
    "leave": "acquire",
    "line_up": "queue_delay",
    "look_up": "fetch_status",
    "may_move": "can_transition",
    "message_body": "serialize_message",
    "moment": "isoformat_utc",
    "note_visit": "set_stage",
    "pass_gate": "check_gate",
    "people": "recipients",
    "per_second_of": "max_per_second",
    "perform": "send",
    "proven": "authenticated",
    "put_off": "defer_unreadable",
    "read_now": "fetch",
    "recall": "get",
    "remember": "put",
    "ring": "notify_queue",
    "rung": "clear",
    "settle_remembered": "settle_cached",
    "still_welcome": "still_authorized",
    "take": "acquire",
    "take_out": "redact_references",
    "to_e164": "normalise",
    "told": "announced",
    "wish": "slot_request",
}
# A supervisor's plan is a plan.
KEPT = {("config.run.start", "Plan")}
KEPT_MODULES = {"providers.smpp.addresses"}  # the protocol's word


def modules() -> Iterator[tuple[str, ast.Module]]:
    """All modules of the product but migrations, which are named for what they once did."""
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            if "migrations" not in parts:
                yield ".".join(parts).removesuffix(".__init__"), ast.parse(path.read_text())


def test_a_public_class_name_exists_once() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for module, tree in modules():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(module)
    # Django finds a management command by this name.
    places["Command"] = [module for module in places["Command"] if ".management.commands." not in module]

    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_old_name_is_used() -> None:
    found: list[str] = []
    for module, tree in modules():
        name = module.rpartition(".")[2].lstrip("_")
        if name in OLD_MODULES and module not in KEPT_MODULES:
            found.append(f"{module}: say {OLD_MODULES[name]}")
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                table = OLD_CLASSES
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                table = OLD_FUNCTIONS
            else:
                continue
            name = node.name.lstrip("_")
            if name in table and (module, name) not in KEPT:
                found.append(f"{module}:{node.lineno} {node.name}: say {table[name]}")

    assert found == []
