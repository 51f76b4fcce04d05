"""Texts of alerts: what is in them, and that they fit."""

import pytest

from messaging.segments import measure
from messaging.services.alerts import texts
from messaging.services.alerts.groups import Alert, AlertGroup
from messaging.services.errors import InvalidField


def group(*summaries: str, status: str = "firing", **values) -> AlertGroup:
    alerts = tuple(
        Alert(status, f"Alert{number}", "now", str(number), {"instance": f"web-{number}"}, {"summary": summary})
        for number, summary in enumerate(summaries, 1)
    )
    return AlertGroup(key="k", status=status, alerts=alerts, **values)


def text(of: AlertGroup, template: str = "", max_segments: int = 1) -> str:
    return texts.alert_text(of, template=template, max_segments=max_segments)


def test_one_alert_is_its_name_and_summary() -> None:
    assert text(group("load is 17")) == "FIRING Alert1: load is 17"


def test_an_alert_without_annotations_is_its_name_and_instance() -> None:
    assert text(group("")) == "FIRING Alert1: web-1"


def test_as_many_alerts_are_listed_as_fit_and_the_others_are_counted() -> None:
    listed = text(group(*["a summary of some thirty letters"] * 7))

    assert listed == (
        "FIRING Alert1: a summary of some thirty letters; Alert2: a summary of some thirty letters; "
        "Alert3: a summary of some thirty letters +4 more"
    )
    assert measure(listed).segments == 1


def test_alerts_that_the_sender_left_out_are_counted() -> None:
    assert text(group("load is 17", omitted=1_200)) == "FIRING Alert1: load is 17 +1,200 more"


def test_an_alert_in_another_state_than_its_group_says_so() -> None:
    firing, ended = group("one").alerts[0], group("two", status="resolved").alerts[0]

    assert text(AlertGroup("k", "firing", (firing, ended))) == "FIRING Alert1: one; resolved Alert1: two"


def test_a_text_that_does_not_fit_is_cut_and_keeps_its_count() -> None:
    cut = text(group("x" * 400, "y"), template="{description}{summary}{summary}")

    assert cut == "x" * (160 - len("... +1 more")) + "... +1 more"


@pytest.mark.parametrize("max_segments", [1, 2, 3])
@pytest.mark.parametrize("letters", ["🔥", "e\u0301", "👩\u200d🚒", "é", "€", "Ж"])
def test_no_character_is_torn(letters: str, max_segments: int) -> None:
    cut = texts.shortened(letters * 500, max_segments=max_segments, suffix=" +2 more")

    body = cut.removesuffix("... +2 more")
    assert body == letters * (len(body) // len(letters))
    assert measure(cut).segments == max_segments


def test_a_template_is_filled_and_values_with_braces_are_not() -> None:
    values = group("{count} {status.__class__} %s", group_labels={"job": "node", "dc": "fra"})

    assert text(values, "{{{status}}} {labels} {alertname} {count} {summary}") == (
        "{FIRING} job=node, dc=fra Alert1 1 {count} {status.__class__} %s"
    )


def test_the_place_of_the_count_is_the_templates() -> None:
    assert text(group("one", "two"), "({more}) {summary}") == "(+1 more) one"
    assert text(group("one", "two"), "{summary}") == "one +1 more"


def test_values_are_one_line_of_printable_text() -> None:
    assert text(group("a\0b\r\n\tc\ud800d\u2028e\x9ff")) == "FIRING Alert1: a b c d e f"


@pytest.mark.parametrize(
    ("template", "code"),
    [("{", "invalid_template"), ("{alertname.__class__}", "invalid_template"), ("{password}", "unknown_variable")],
)
def test_a_wrong_template_is_refused(template: str, code: str) -> None:
    with pytest.raises(InvalidField) as refusal:
        texts.check_template(template, texts.ALERT_VARIABLES)

    assert (refusal.value.field, refusal.value.field_code) == ("template", code)


def test_every_known_variable_has_a_value() -> None:
    template = " ".join(f"{{{name}}}" for name in sorted(texts.ALERT_VARIABLES))

    assert text(group("one"), template)


def test_a_digest_names_most_first() -> None:
    counts = {"DiskFull": 5, "HighLoad": 9}

    assert texts.digest_text(counts, max_segments=1) == "14 more alerts: HighLoad x9, DiskFull x5"
    assert texts.digest_text({"DiskFull": 1}, max_segments=1) == "1 more alert: DiskFull x1"


def test_a_digest_of_many_names_fits() -> None:
    digest = texts.digest_text({f"An alert with a long name {number}": 1_000 for number in range(60)}, max_segments=1)

    assert digest.startswith(
        "60,000 more alerts: An alert with a long name 0 x1,000, An alert with a long name 1 x1,000"
    )
    assert digest.endswith(" more")
    assert measure(digest).segments == 1


def test_the_names_that_are_counted_are_bounded() -> None:
    alerts = tuple(Alert("firing", f"{'n' * 500}{number}") for number in range(5))
    many = tuple(Alert("firing" if number % 2 else "resolved", f"Alert{number}") for number in range(10_000))

    assert AlertGroup("k", "firing", alerts).counts == {"n" * 100: 5}
    counts = AlertGroup("k", "firing", many, omitted=7).counts
    assert (len(counts), sum(counts.values())) == (51, 10_007)


def test_the_identity_is_of_group_alerts_states_and_starts() -> None:
    one, two = Alert("firing", "A", "t1", "1"), Alert("firing", "B", "t1", "2")
    same = AlertGroup("k", "firing", (one, two), title="other", message="words")

    assert same.identity == AlertGroup("k", "firing", (two, one)).identity
    others = [
        AlertGroup("k2", "firing", (one, two)),
        AlertGroup("k", "firing", (one,)),
        AlertGroup("k", "firing", (one, Alert("resolved", "B", "t1", "2"))),
        AlertGroup("k", "firing", (one, Alert("firing", "B", "t2", "2"))),
        AlertGroup("k", "firing", (one, two), omitted=1),
    ]
    assert len({same.identity, *(each.identity for each in others)}) == 6
