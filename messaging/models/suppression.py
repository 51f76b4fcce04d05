"""Suppressions, and the keyword rules with which recipients opt out and in."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from uuid_utils.compat import uuid7

from messaging import keywords
from providers.models import SenderNumber


class Suppression(models.Model):
    """`number` (E.164) gets nothing from `sender`; an empty sender means all senders.

    One row per source and channel: a suppression by a client or by staff is separate from the person's own opt-out, and stays
    when the person opts in again. `source` is what entered it; `channel` is how the person said so, where a client or staff
    entered what a person had said. `requested_at` is then when the person said it.
    """

    class Source(models.TextChoices):
        KEYWORD = "keyword"
        PROVIDER = "provider"
        API = "api"
        ADMIN = "admin"

    class Channel(models.TextChoices):
        PHONE = "phone"
        EMAIL = "email", "e-mail"
        WEB = "web", "web form"
        LETTER = "letter"
        IN_PERSON = "in_person", "in person"
        TEXT = "text", "text without a keyword"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    number = models.CharField(max_length=16)
    sender = models.CharField(max_length=16, blank=True)
    source = models.CharField(max_length=8, choices=Source.choices)
    # The default is also in the database: during an upgrade, processes of the previous version insert rows.
    channel = models.CharField(max_length=9, blank=True, choices=Channel.choices, default="", db_default="")
    reason = models.CharField(max_length=200, blank=True)
    note = models.CharField(max_length=500, blank=True, default="", db_default="")
    requested_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    # The client or staff member who requested it; null for opt-outs by keyword and those that a provider reported.
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+", db_index=False
    )

    class Meta:
        ordering = ["-id"]
        indexes = [
            # Reader: eligibility.recipients, the opt-outs of a batch's numbers
            models.Index(name="suppression_number", fields=["number", "sender"]),
        ]
        constraints = [
            models.UniqueConstraint(
                name="suppression_once_per_client",
                fields=["number", "sender", "created_by", "channel"],
                condition=Q(source="api"),
            ),
            models.UniqueConstraint(
                name="suppression_once_per_source",
                fields=["number", "sender", "source", "channel"],
                condition=~Q(source="api"),
            ),
            models.CheckConstraint(
                name="suppression_channel_word",
                condition=Q(channel="")
                | Q(
                    source__in=["api", "admin"],
                    channel__in=["phone", "email", "web", "letter", "in_person", "text"],
                ),
            ),
            models.CheckConstraint(
                name="suppression_source_word", condition=Q(source__in=["keyword", "provider", "api", "admin"])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.number} gets nothing from {self.sender or 'anybody'}"

    @property
    def origin(self) -> str:
        """How the person said it, if that is known; otherwise what entered it."""
        return self.channel or self.source


class KeywordRule(models.Model):
    """Words and reply for one action, at one sender number or, without a number, at all that have no rule of their own."""

    class Action(models.TextChoices):
        STOP = keywords.Action.STOP
        STOP_ALL = keywords.Action.STOP_ALL, "stop all"
        START = keywords.Action.START
        HELP = keywords.Action.HELP

    sender_number = models.ForeignKey(
        SenderNumber, null=True, blank=True, on_delete=models.CASCADE, related_name="keyword_rules"
    )
    action = models.CharField(max_length=8, choices=Action.choices)
    words = models.TextField(max_length=2000, help_text="One a line. Case, accents and punctuation do not matter.")
    reply = models.CharField(max_length=480, blank=True, help_text="Empty: nothing is answered.")

    class Meta:
        ordering = ["sender_number", "action"]
        constraints = [
            models.UniqueConstraint(
                name="keyword_rule_once_per_sender",
                fields=["sender_number", "action"],
                condition=Q(sender_number__isnull=False),
                violation_error_message="This number has a rule for this action already; change that one.",
            ),
            models.UniqueConstraint(
                name="keyword_rule_once_for_all",
                fields=["action"],
                condition=Q(sender_number__isnull=True),
                violation_error_message="There is a rule for this action at all numbers already; change that one.",
            ),
            models.CheckConstraint(
                name="keyword_rule_action_word", condition=Q(action__in=["stop", "stop_all", "start", "help"])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} at {self.sender_number or 'every number'}"

    def clean(self) -> None:
        """Require a word: recipients must be able to opt out."""
        if not self.as_rule().words:
            raise ValidationError({"words": "Give at least one word."})

    def as_rule(self) -> keywords.MatchRule:
        return keywords.rule(self.words.splitlines(), self.reply)
