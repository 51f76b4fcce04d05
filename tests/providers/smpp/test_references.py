"""Two texts to one recipient within minutes have different references."""

from datetime import UTC, datetime, timedelta

from providers.smpp.references import MAX_KEPT, References

NOW = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
NUMBER = "+4915112345678"


def test_references_of_8_bits_differ_for_256_texts_within_a_second() -> None:
    references = References()

    used = {references.next(NUMBER, now=NOW) & 0xFF for _ in range(256)}

    assert len(used) == 256


def test_references_of_two_processes_differ_for_four_minutes() -> None:
    used = [References().next(NUMBER, now=NOW + timedelta(seconds=seconds)) & 0xFF for seconds in range(256)]

    assert len(set(used)) == 256


def test_a_text_after_a_burst_has_a_new_reference() -> None:
    references = References()
    burst = [references.next(NUMBER, now=NOW) for _ in range(5)]

    after = [references.next(NUMBER, now=NOW + timedelta(seconds=seconds)) for seconds in (1, 2, 3)]

    assert len({reference & 0xFF for reference in burst + after}) == 8


def test_recipients_have_references_of_their_own() -> None:
    references = References()

    assert len({references.next(f"+49151123456{number:02}", now=NOW) & 0xFFFF for number in range(20)}) > 1


def test_few_recipients_are_kept() -> None:
    references = References()

    for number in range(3 * MAX_KEPT):
        references.next(f"+{number}", now=NOW + timedelta(seconds=number))

    assert len(references._latest) <= MAX_KEPT
