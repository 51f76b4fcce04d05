"""How the console shows each status: the tone of its label and the icon of its line in a message's history."""

from typing import NamedTuple

from messaging.states import Status


class StatusStyle(NamedTuple):
    """`tone` is one of Unfold's label variants, or None for a plain label; `icon` is the name of a Material symbol."""

    tone: str | None
    icon: str


STYLES: dict[Status, StatusStyle] = {
    Status.SCHEDULED: StatusStyle("info", "schedule"),
    Status.QUEUED: StatusStyle("info", "hourglass_top"),
    Status.SENDING: StatusStyle("info", "outgoing_mail"),
    Status.SENT: StatusStyle("primary", "done"),
    Status.DELIVERED: StatusStyle("success", "done_all"),
    Status.UNDELIVERED: StatusStyle("danger", "unsubscribe"),
    Status.FAILED: StatusStyle("danger", "error"),
    Status.UNKNOWN: StatusStyle("warning", "help"),
    Status.CANCELED: StatusStyle(None, "cancel"),
    Status.RECEIVED: StatusStyle("info", "call_received"),
    Status.STORED: StatusStyle("info", "inventory_2"),
    Status.PROCESSED: StatusStyle("success", "task_alt"),
}
TONES: dict[str, str] = {status: style.tone for status, style in STYLES.items() if style.tone is not None}
ICONS: dict[str, str] = {status: style.icon for status, style in STYLES.items()}
