"""Which tier a test belongs to, and which command runs that tier. What is not named here is in the tier `database`.

Entries are folders, files or test functions below `tests/`; of several that match, the longest decides.
"""

import functools
from collections.abc import Collection
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PURE, EITHER, DATABASE, SMOKE, PROCESSES = "pure", "either", "database", "smoke", "processes"
FUZZ, GENERATED, MEMORY, MIGRATIONS = "fuzz", "generated", "memory", "migrations"
JOURNEYS, EMBEDDED, DEPLOYED, BROWSER = "journeys", "embedded", "deployed", "browser"

COMMANDS = {
    PURE: "make test",  # neither a database nor Redis: the result is the same everywhere
    EITHER: "make test",  # a database, but what is tested is decided above it: it runs on one of them
    DATABASE: "make test",
    SMOKE: "make test",  # two of the journeys
    PROCESSES: "make test-all",  # starts Python processes
    FUZZ: "make test-all",  # much generated input
    GENERATED: "make test-all",  # the same where no database decides, and vendors' libraries, which take seconds to load
    MEMORY: "make test-all",
    MIGRATIONS: "make test-all",
    JOURNEYS: "make journeys",
    EMBEDDED: "make journeys",  # journeys with the embedded default, or about what no database decides
    DEPLOYED: "make journeys",  # with several processes of a kind, as only a deployment has them
    BROWSER: "make journeys",  # needs Chromium
}
# Database, Redis, processes or the SQL dialect decide the result: these run on SQLite and on PostgreSQL.
ON_BOTH_DATABASES = {DATABASE, SMOKE, FUZZ, MIGRATIONS, JOURNEYS}
# These run wherever they are asked for; CI asks for them on PostgreSQL alone, as a deployment has it.
ON_POSTGRESQL_IN_CI = {DEPLOYED}

_ENTRIES = {
    PURE: (
        "benchmarks",
        "config/test_client_ip.py",
        "config/test_checks.py",
        "config/test_documents.py",
        "config/test_logging.py",
        "config/test_request_body.py",
        "config/test_run_deployment.py",
        "config/test_settings_table.py",
        "config/test_trailing_slash.py",
        "contract",
        "media_store/test_checks.py",
        "media_store/test_file_types.py",
        "media_store/test_scaling.py",
        "media_store/validation",
        "messaging/policy",
        "messaging/services/alerts/test_texts.py",
        "messaging/services/outbound/dispatch/test_worker_slots.py",
        "messaging/services/test_snapshots.py",
        "messaging/services/webhooks/test_kannel_escapes.py",
        "messaging/services/webhooks/test_twilio_addresses.py",
        "messaging/smpp_connector/test_holder.py",
        "messaging/smpp_connector/test_http_api.py",
        "messaging/smpp_connector/test_links.py",
        "messaging/smpp_connector/test_stalls.py",
        "messaging/smpp_connector/test_submissions.py",
        "messaging/smpp_connector/test_tls.py",
        "messaging/smpp_server/test_submit_pdus.py",
        "messaging/test_encryption.py",
        "messaging/test_keywords.py",
        "messaging/test_one_time_codes.py",
        "messaging/test_e164.py",
        "messaging/test_request_bodies.py",
        "messaging/test_retry_policy.py",
        "messaging/test_segments.py",
        "messaging/test_states.py",
        "messaging/test_text_templates.py",
        "messaging/test_twilio_ids.py",
        "messaging/twilio_api/test_documentation.py",
        "messaging/test_twiml.py",
        "providers/simulator/smpp",
        "providers/simulator/test_sandbox.py",
        "providers/test_documentation.py",
        "providers/test_masking.py",
        "providers/backends",
        "providers/http",
        "providers/smpp",
        "providers/test_numbers.py",
        "providers/test_octets.py",
        "providers/test_routing.py",
        "providers/test_send_gate.py",
        "providers/test_senders.py",
        "scheduling/services/test_timing.py",
        "scheduling/test_dateutil.py",
        "scheduling/test_holiday_calendar.py",
        "scheduling/test_odd_zones.py",
        "scheduling/test_list_search.py",
        "scheduling/test_list_spool.py",
        "scheduling/test_recipient_numbers.py",
        "scheduling/test_recipients_csv.py",
        "scheduling/test_recurrence.py",
        "scheduling/test_recurrence_dates.py",
        "scheduling/test_recurrence_rule.py",
        "scheduling/test_recurrence_set.py",
        "scheduling/test_recurrence_with_dates.py",
        "scheduling/test_rfc5545_examples.py",
        "scheduling/test_wall_time.py",
        "scheduling/test_zone_data.py",
        "test_names.py",
        "test_tiers.py",
    ),
    # Pages and who may open them, bodies that are refused before a query, choices by what Redis knows. What the pages read and
    # write has tests of its own in the services. A file with a query, a constraint or a transaction to prove is `database`.
    EITHER: (
        "config/admin/test_theme.py",
        "config/admin/test_reasons.py",
        "config/admin/test_roles.py",
        "config/test_openapi.py",
        "config/test_problems.py",
        "config/test_requests.py",
        "media_store/api/test_bad_files.py",
        "messaging/admin/test_compose.py",
        "messaging/admin/test_gateway.py",
        "messaging/admin/test_hours_rules.py",
        "messaging/admin/test_message_actions.py",
        "messaging/admin/test_provider_accounts.py",
        "messaging/admin/test_provider_exchanges.py",
        "messaging/admin/test_queues.py",
        "messaging/admin/test_sender_numbers.py",
        "messaging/admin/test_status_styles.py",
        "messaging/admin/test_text_privacy.py",
        "messaging/admin/test_webhooks.py",
        "messaging/api/test_dry_run.py",
        "messaging/api/test_protocol.py",
        "messaging/api/test_unknown_names.py",
        "messaging/api/test_unread_bodies.py",
        "messaging/gateway_http/test_jasmin.py",
        "messaging/gateway_http/test_kannel_bodies.py",
        "messaging/gateway_http/test_memory.py",
        "messaging/gateway_http/test_secrets.py",
        "messaging/management/test_try_provider.py",
        "messaging/smpp_connector/test_long_replies.py",
        "messaging/test_callback_addresses.py",
        "providers/test_presets.py",
        "providers/test_routing_by_health.py",
        "scheduling/test_admin.py",
        "scheduling/test_admin_dates.py",
        "scheduling/test_list_corpus.py",
    ),
    SMOKE: (
        "journeys/test_first_message.py::test_a_message_is_accepted_at_once_and_delivered_within_ten_seconds",
        "journeys/test_make_run.py::test_the_pasted_commands_send_a_message_and_show_it_delivered",
    ),
    PROCESSES: (
        "config/test_apps.py",
        "config/test_run_deployment.py::test_redis_takes_its_password_where_no_command_line_shows_it",
        "config/test_run_supervisor.py",
        "config/test_tracing.py::test_while_traces_are_off_nothing_is_kept_and_nothing_imported",
        "config/test_zone_data.py::test_every_process_uses_the_pinned_data",
        "messaging/gateway_http/test_secrets.py::test_a_report_to_sentry_has_no_query",
        "messaging/management/test_gateway_commands.py::test_a_certificate_that_cannot_be_used_is_one_clear_line",
        "messaging/management/test_gateway_commands.py::test_a_port_in_use_is_one_clear_line",
        "messaging/management/test_gateway_commands.py::test_the_server_says_where_it_listens_and_ends_on_sigterm",
        "providers/simulator/test_process.py",
    ),
    FUZZ: (
        "config/admin/test_lists.py::test_a_list_accepts_only_the_lookups_of_its_own_filters",
        "messaging/api/test_schema_fuzz.py",
        "messaging/services/inbound/test_nothing_lost.py::test_no_text_of_any_callback_is_lost_or_half_stored",
        "messaging/services/outbound/test_addressed_receipts.py::test_after_another_receipt",
        "messaging/services/outbound/test_addressed_receipts.py::test_for_every_outcome",
        "messaging/services/outbound/test_addressed_receipts.py::test_in_every_status",
        "messaging/services/outbound/test_receipt_results.py::test_the_result_is_the_same_in_every_order",
        "messaging/services/reporting/test_rollups.py::test_after_any_steps_the_sums_match_the_rows",
        "messaging/test_webhook_batches.py::test_no_receipt_of_any_body_is_lost_or_half_used",
    ),
    GENERATED: (
        "contract/presets/test_official_sdk_requests.py",
        "contract/presets/test_official_sdks.py",
        "messaging/api/test_batch_items.py::test_a_batch_is_read_as_its_items_one_by_one",
        "messaging/gateway_http/test_any_request.py::test_bodies_of_kannel",
        "messaging/gateway_http/test_any_request.py::test_jasmin",
        "messaging/gateway_http/test_any_request.py::test_jasmin_s_json",
        "messaging/gateway_http/test_any_request.py::test_kannel",
        "messaging/policy/test_hours.py::test_the_moment_is_allowed_everywhere_and_no_earlier_one_is",
        "messaging/test_e164.py::test_any_digits_after_a_country_code_are_read_as_by_the_library",
        "messaging/test_e164.py::test_numbers_of_every_country_and_length_become_e164_or_are_refused",
        "messaging/test_e164.py::test_text_like_a_number_becomes_e164_or_is_refused",
        "messaging/test_e164.py::test_what_is_told_from_the_form_is_what_the_library_says",
        "scheduling/test_recurrence_set.py::test_stepping_gives_the_library_s_series",
        "scheduling/test_recurrence_rule.py::test_any_text_is_a_rule_or_refused_and_never_keeps_us_waiting",
    ),
    MEMORY: ("media_store/test_scaling_memory.py", "media_store/validation/test_memory.py"),
    MIGRATIONS: ("migrations",),
    # Faults, kills, locks and concurrency, on which the two databases differ; and logs, as a driver may print what it gets.
    JOURNEYS: (
        "journeys",
        "journeys/load/test_idempotency.py",
        "journeys/test_make_run.py::test_a_missing_database_is_one_clear_line",
        "journeys/test_make_run.py::test_given_a_database_and_a_broker_those_are_used",
        "journeys/test_smpp.py::test_a_message_is_queued_sent_and_delivered",
        "journeys/test_smpp.py::test_no_receipt_is_lost_while_the_database_is_unavailable",
    ),
    # `make run` itself; and HTTP, SMPP and documentation as seen by carriers and clients, with one process of each kind.
    EMBEDDED: (
        "journeys/peers",
        "journeys/test_carriers.py",
        "journeys/test_first_message.py",
        "journeys/test_inbound.py",
        "journeys/test_make_run.py",
        "journeys/test_readme.py",
        "journeys/test_slow_clients.py",
        "journeys/test_smpp.py",
        "journeys/test_third_provider.py",
        "journeys/test_twilio_door.py",
    ),
    # Many workers, web processes and beats at once, the live process, and an observability stack. On SQLite one writer works
    # at a time, and the same journey proves less; `journeys/chaos` kills workers on SQLite too.
    DEPLOYED: (
        "journeys/load",
        "journeys/test_client_callbacks.py",
        "journeys/test_live.py",
        "journeys/test_nothing_leaks.py",
        "journeys/test_rate_limits.py",
        "journeys/test_schedules.py",
        "journeys/test_worker_killed.py",
    ),
    BROWSER: ("browser",),
}
# Also in `make test`, with a fifth of their examples (tests/generated.py).
SAMPLED = {
    *(entry for entry in _ENTRIES[GENERATED] if "::" in entry),
    "messaging/services/inbound/test_nothing_lost.py::test_no_text_of_any_callback_is_lost_or_half_stored",
    "messaging/services/outbound/test_addressed_receipts.py::test_after_another_receipt",
    "messaging/services/outbound/test_addressed_receipts.py::test_for_every_outcome",
    "messaging/services/outbound/test_addressed_receipts.py::test_in_every_status",
    "messaging/services/outbound/test_receipt_results.py::test_the_result_is_the_same_in_every_order",
    "messaging/test_webhook_batches.py::test_no_receipt_of_any_body_is_lost_or_half_used",
}
TIER_OF = {entry: tier for tier, entries in _ENTRIES.items() for entry in entries}


@functools.cache
def of_path(path: Path, function: str = "") -> str:
    """The tier of a test function; without one, that of a file or a folder as a whole."""
    if not path.is_relative_to(TESTS):
        return DATABASE
    inside = path.relative_to(TESTS)
    names = [f"{inside.as_posix()}::{function}", inside.as_posix(), *(parent.as_posix() for parent in inside.parents)]
    return next((TIER_OF[name] for name in names if name in TIER_OF), DATABASE)


def in_path(path: Path) -> set[str]:
    """All tiers of which a file or a folder may have tests."""
    if not path.is_relative_to(TESTS) or path == TESTS:
        return set(COMMANDS)
    inside = path.relative_to(TESTS).as_posix()
    deeper = {tier for entry, tier in TIER_OF.items() if entry.startswith((f"{inside}/", f"{inside}::"))}
    return deeper | {of_path(path)}


def of_item(item: pytest.Item) -> str:
    return of_path(item.path, getattr(item, "originalname", None) or item.name)


def is_selected(item: pytest.Item, names: Collection[str]) -> bool:
    return of_item(item) in names or (PURE in names and _name_of(item) in SAMPLED)


def _name_of(item: pytest.Item) -> str:
    path = item.path.relative_to(TESTS).as_posix() if item.path.is_relative_to(TESTS) else ""
    return f"{path}::{getattr(item, 'originalname', None) or item.name}"


def uses_database(item: pytest.Item) -> bool:
    fixtures = {"db", "transactional_db", "django_db_reset_sequences"}.intersection(getattr(item, "fixturenames", ()))
    return bool(fixtures) or item.get_closest_marker("django_db") is not None


def parse(text: str) -> list[str]:
    """`pure,database` as a list; raises ValueError for a name that is none."""
    names = text.split(",")
    if unknown := set(names) - set(COMMANDS):
        raise ValueError(f"not a tier: {', '.join(sorted(unknown))}")
    return names


def not_run(names: Collection[str], *, on_postgresql: bool) -> list[str]:
    """A line for each command that runs what was left out, to print at the end."""
    covered = {*names, SMOKE} if JOURNEYS in names else set(names)
    left_out: dict[str, list[str]] = {}
    for tier, command in COMMANDS.items():
        if tier not in covered:
            left_out.setdefault(command, []).append(tier)
    lines = [f"Not run: {', '.join(tiers)} ({command} runs them)" for command, tiers in left_out.items()]
    if lines and not on_postgresql:
        lines.append("Not run: anything on PostgreSQL and Redis (DATABASE_URL=… REDIS_URL=… make test-all)")
    return lines
