"""The page of a message, sending a message, and the export."""

import csv
import io
import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from media_store.models import MediaAsset
from messaging import segments
from messaging.console import csv_export
from messaging.models import Attachment, Message, MessageTemplate
from tests.factories import (
    NOW,
    AccountFactory,
    AttemptFactory,
    CallbackFactory,
    EventFactory,
    MessageFactory,
    PhoneNumberFactory,
    QueueFactory,
    SenderFactory,
    lose_the_key,
)
from tests.messaging.admin.conftest import Staff

LIST = "/admin/messaging/message/"
FORM = {"to": "+1 415 555 0101", "text": "Hello", "sender": "", "queue": "express", "reference": "by hand"}


def test_the_timeline_shows_the_history_in_order(admin: Client) -> None:
    message = MessageFactory(sent=True, to_number="+14155550101")
    EventFactory(message=message, at=NOW, to_status="queued")
    AttemptFactory(message=message, started_at=NOW + timedelta(seconds=1))
    EventFactory(message=message, at=NOW + timedelta(seconds=2), from_status="sending", to_status="sent")
    CallbackFactory(message=message, received_at=NOW + timedelta(seconds=3), word="delivered")

    page = admin.get(f"{LIST}{message.pk}/change/")

    titles = [entry.title for entry in page.context["timeline"]]
    slug = message.delivery_attempts.get().provider_id
    assert titles[:3] == ["queued", f"Attempt 1 with {slug}", "sending → sent"]
    assert titles[3].startswith("Callback from ")


def test_a_text_of_an_unreadable_number_is_shown_with_its_mark_in_the_list_and_on_its_page(admin: Client) -> None:
    detail = "The sender's number cannot be read; this text got no automatic reply."
    marks = {"error_code": "unreadable_number", "error_detail": detail}
    message = MessageFactory(inbound=True, from_number="9195550101", to_number="", **marks)

    rows = admin.get(LIST).content.decode()
    page = admin.get(f"{LIST}{message.pk}/change/").content.decode()

    assert "From 9195550101" in rows
    assert "unreadable_number" in rows
    assert "<strong>unreadable_number</strong>: The sender&#x27;s number cannot be read;" in page
    assert "<dt>To</dt><dd>not named by the provider</dd>" in page
    assert "/message/send/?to=" not in page


def test_a_text_of_a_number_can_be_answered(admin: Client) -> None:
    message = MessageFactory(inbound=True, from_number="+14155550101")

    page = admin.get(f"{LIST}{message.pk}/change/").content.decode()

    assert "/message/send/?to=%2B14155550101" in page


def test_undecryptable_texts_are_marked_in_the_list_the_page_and_the_export(admin: Client) -> None:
    lost = MessageFactory(delivered=True, to_number="+14155550101")
    callback = CallbackFactory(message=lost, body="a=b")
    MessageFactory(delivered=True, to_number="+14155550101", text="Hello")
    lose_the_key(lost)
    lose_the_key(callback, "body")
    marker = "(cannot be decrypted with the current keys)"

    page = admin.get(f"{LIST}{lost.pk}/change/")

    assert page.context["text"] == marker
    assert [line["text"] for line in page.context["conversation"]] == [marker, "Hello"]
    assert [entry.raw for entry in page.context["timeline"] if entry.tone == "callback"] == [[("body", marker)]]
    assert marker in admin.get(f"/admin/messaging/providercallback/{callback.pk}/change/").content.decode()
    assert [row.shown_text for row in admin.get(LIST).context["cl"].result_list] == ["Hello", marker]
    export = b"".join(admin.get(f"{LIST}export/").streaming_content).decode("utf-8-sig")
    assert [row["text"] for row in csv.DictReader(io.StringIO(export))] == ["Hello", marker]


def test_simultaneous_entries_show_the_cause_first_and_statuses_stay_in_order(admin: Client) -> None:
    message = MessageFactory(delivered=True)
    EventFactory(message=message, at=NOW + timedelta(milliseconds=21), to_status="queued")
    EventFactory(message=message, at=NOW, from_status="queued", to_status="sending")
    EventFactory(message=message, at=NOW + timedelta(seconds=1), from_status="sent", to_status="delivered")
    CallbackFactory(message=message, received_at=NOW + timedelta(seconds=1), word="delivered")

    timeline = admin.get(f"{LIST}{message.pk}/change/").context["timeline"]

    assert [entry.title.partition(" from ")[0] for entry in timeline] == [
        "queued", "queued → sending", "Callback", "sent → delivered",
    ]  # fmt: skip
    assert [(entry.at - NOW).total_seconds() for entry in timeline] == [0.021, 0.021, 1, 1]


def test_the_conversation_has_both_directions(admin: Client) -> None:
    first = MessageFactory(to_number="+14155550101", text="Hi")
    MessageFactory(inbound=True, from_number="+14155550101", to_number="+15005550006", text="Hello")
    MessageFactory(to_number="+14155550102", text="to another number")

    page = admin.get(f"{LIST}{first.pk}/change/")

    assert [(line["text"], line["is_ours"]) for line in page.context["conversation"]] == [
        ("Hi", True),
        ("Hello", False),
    ]


def test_the_page_shows_the_images_and_names_those_that_could_not_be_downloaded(admin: Client, staff: Staff) -> None:
    message = MessageFactory(inbound=True, media_count=3)
    asset = MediaAsset.objects.create(
        sha256="0" * 64, content_type="image/png", size=9, width=3, height=3, created_at=NOW
    )
    Attachment.objects.create(message=message, position=0, asset=asset)
    Attachment.objects.create(message=message, position=1, source_url="https://a.example/1", error="too large")
    Attachment.objects.create(message=message, position=2, source_url="https://a.example/2", next_attempt_at=NOW)
    picture = f'src="/api/v1/media/{asset.pk}/content/?copy=sent"'

    page = admin.get(f"{LIST}{message.pk}/change/").content.decode()

    assert picture in page
    assert "File 2 is not kept. <strong>unavailable</strong>: The file could not be fetched: too large." in page
    assert "File 3 is being fetched" in page
    assert "a.example" not in page
    may_view = ("messaging.view_message", "media_store.view_mediaasset")
    assert picture not in staff(*may_view).get(f"{LIST}{message.pk}/change/").content.decode()
    assert picture in staff(*may_view, "messaging.view_text").get(f"{LIST}{message.pk}/change/").content.decode()


def test_a_file_is_a_link_to_save_it_and_never_an_image(admin: Client, staff: Staff) -> None:
    message = MessageFactory(inbound=True, media_count=2)
    card = MediaAsset.objects.create(sha256="0" * 64, content_type="text/vcard", size=2_048, created_at=NOW)
    Attachment.objects.create(message=message, position=0, asset=card)
    Attachment.objects.create(message=message, position=1, error_code="too_large", error="It has <more> bytes.")
    address = f"/api/v1/media/{card.pk}/content/"

    page = admin.get(f"{LIST}{message.pk}/change/").content.decode()

    assert f'<a class="sb-file" href="{address}" download>' in page
    assert "Contact (vCard) · 2.0\xa0KB</a>" in page
    assert f'src="{address}"' not in page
    assert "File 2 is not kept. <strong>too_large</strong>: It has &lt;more&gt; bytes." in page
    hidden = staff("messaging.view_message", "media_store.view_mediaasset").get(f"{LIST}{message.pk}/change/")
    assert "Contact (vCard) 1" in hidden.content.decode()
    assert address not in hidden.content.decode()


def test_the_page_costs_the_same_for_a_long_history(admin: Client) -> None:
    costs = []
    for more in (1, 15):
        message = MessageFactory(to_number=f"+1415555010{more % 10}")
        for number in range(1, more + 1):
            AttemptFactory(message=message, number=number)
            EventFactory(message=message, actor=admin.user)
            CallbackFactory(message=message)
        admin.get(f"{LIST}{message.pk}/change/")
        with CaptureQueriesContext(connection) as queries:
            admin.get(f"{LIST}{message.pk}/change/")
        costs.append(len(queries))

    assert costs[0] == costs[1]


class TestSend:
    def test_it_is_submitted_like_any_message(self, admin: Client, express, broker) -> None:
        SenderFactory(number="+15005550006", is_default=True)

        response = admin.post(f"{LIST}send/", FORM)

        message = Message.objects.get()
        assert response.headers["Location"] == f"{LIST}{message.pk}/change/"
        assert (message.to_number, message.from_number, message.owner) == ("+14155550101", "+15005550006", admin.user)
        assert list(message.events.values_list("to_status", "source")) == [("queued", "admin")]
        assert broker.notified == ["express"]
        assert LogEntry.objects.get().object_id == str(message.pk)

    @pytest.mark.parametrize(
        ("changes", "field"),
        [
            ({"to": "nobody"}, "to"),
            ({"to": "+14155550199"}, "to"),
            ({"text": ""}, "text"),
            ({"text": "\u0416" * 700}, "text"),
            ({"sender": "+15005550009"}, "sender"),
            ({"queue": "nowhere"}, "queue"),
        ],
    )
    def test_invalid_input_is_reported_at_its_field(self, admin: Client, express, changes: dict, field: str) -> None:
        PhoneNumberFactory(inactive=True, number="+14155550199")

        page = admin.post(f"{LIST}send/", {**FORM, **changes})

        assert (page.status_code, list(page.context["form"].errors)) == (200, [field])
        assert not Message.objects.exists()
        assert not LogEntry.objects.exists()

    def test_a_line_break_is_one_character(self, admin: Client, express) -> None:
        admin.post(f"{LIST}send/", {**FORM, "text": "a\r\nb"})

        assert Message.objects.get().text == "a\nb"

    @pytest.mark.parametrize("text", ["", "Hello", "x" * 161, "€" * 80, "Ж" * 71, "🙂" * 36, "a\r\nb", "x" * 1531])
    def test_the_counter_counts_as_the_sender_does(self, admin: Client, text: str) -> None:
        counted = segments.measure(text.replace("\r\n", "\n"))

        result = admin.post(f"{LIST}measure/", {"text": text}).json()

        assert (result["units"], result["segments"]) == (counted.units, counted.segments if text else 0)
        assert result["encoding"] == {"gsm7": "GSM-7", "ucs2": "UCS-2"}[counted.encoding]
        assert result["fits"] is (counted.segments <= 10)

    def test_sending_requires_the_permission(self, staff: Staff, express) -> None:
        viewer = staff("messaging.view_message")

        responses = [viewer.get(f"{LIST}send/"), viewer.post(f"{LIST}send/", FORM), viewer.post(f"{LIST}measure/", {})]

        assert [response.status_code for response in responses] == [403, 403, 403]
        assert not Message.objects.exists()


class TestExport:
    def rows(self, client: Client, query: str = "") -> list[dict[str, str]]:
        response = client.get(f"{LIST}export/?{query}")
        text = b"".join(response.streaming_content).decode("utf-8-sig")
        return list(csv.DictReader(io.StringIO(text)))

    def test_it_has_all_rows_that_match_the_filters(self, admin: Client, monkeypatch) -> None:
        monkeypatch.setattr(csv_export, "CHUNK", 20)
        QueueFactory()
        wanted = [MessageFactory(status="failed") for _ in range(65)][::-1]
        MessageFactory(sent=True)

        rows = self.rows(admin, "status__exact=failed")

        assert [row["id"] for row in rows] == [str(message.pk) for message in wanted]
        assert LogEntry.objects.get().change_message == "Exported as CSV: status__exact=failed."

    @pytest.mark.parametrize("text", ["=1+1", "+1+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
    def test_no_cell_is_a_formula(self, admin: Client, text: str) -> None:
        MessageFactory(text=text, to_number="+14155550101")

        [row] = self.rows(admin)

        assert row["text"] == f"'{text}"
        assert row["to"] == "+14155550101"

    def test_exporting_requires_the_view_permission(self, staff: Staff) -> None:
        assert staff("messaging.view_outboundqueue").get(f"{LIST}export/").status_code == 403


# --- Wait notices -----------------------------------------------------------------------------------------------------


def note(client: Client, message: Message) -> str:
    """Return the wait notice of the page, with its links."""
    html = client.get(f"{LIST}{message.pk}/change/").content.decode()
    [found] = re.findall(r'<p class="sb-note" data-testid="waiting">(.*?)</p>', html, re.DOTALL)
    return found


def test_a_message_behind_an_older_one_links_there(admin: Client) -> None:
    now = timezone.now()
    times = {"created_at": now, "updated_at": now, "to_number": "+14155550101"}
    due = now + timedelta(seconds=9)
    older = MessageFactory(**times, next_attempt_at=due, error_code="provider_unavailable")
    message = MessageFactory(**times)

    sentence = note(admin, message)

    assert (
        f"<strong>waiting_for_message</strong>: Waits for the older message {older.pk} to the same number." in sentence
    )
    assert f"That one is tried again at {due:%-d %b %Y %H:%M:%S} UTC." in sentence
    assert f'<a class="sb-link" href="{LIST}{older.pk}/change/">Open the older message</a>' in sentence
    assert "<strong>provider_unavailable</strong>" in note(admin, older)


def test_a_message_that_waits_for_accounts_links_to_the_accounts_it_names(admin: Client) -> None:
    for slug in ("acme", "acme-2", "other"):
        AccountFactory(slug=slug)
    now = timezone.now()
    message = MessageFactory(
        created_at=now,
        next_attempt_at=now + timedelta(seconds=30),
        error_code="waiting_for_provider",
        error_detail="Waits until one of acme-2, other can be called again.",
    )

    sentence = note(admin, message)

    assert re.findall(r'href="([^"]+)"', sentence) == [
        "/admin/providers/provideraccount/acme-2/change/",
        "/admin/providers/provideraccount/other/change/",
    ]


def test_a_message_of_a_paused_queue_links_to_the_queue(admin: Client) -> None:
    message = MessageFactory(queue=QueueFactory(is_paused=True), created_at=timezone.now())

    sentence = note(admin, message)

    assert "The queue express is paused." in sentence
    assert (
        '<a class="sb-link" href="/admin/messaging/outboundqueue/express/change/">Open the queue express</a>'
        in sentence
    )


def test_a_scheduled_message_says_when_it_is_sent(admin: Client) -> None:
    due = timezone.now() + timedelta(days=1)
    times = {"send_at": due, "next_attempt_at": due, "expires_at": due + timedelta(hours=1)}

    assert f"{due:%-d %b %Y %H:%M:%S} UTC" in note(admin, MessageFactory(status="scheduled", **times))


def test_the_page_names_the_template_and_its_version(admin: Client) -> None:
    template = MessageTemplate.objects.create(name="reminder", created_at=NOW, updated_at=NOW)
    message = MessageFactory(sent=True, template_id=template.pk, template_version=3)

    assert "reminder, version 3" in admin.get(f"{LIST}{message.pk}/change/").content.decode()
