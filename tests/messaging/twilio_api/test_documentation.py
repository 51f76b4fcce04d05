"""The page for those who come from Twilio names every error, and what each of our errors is there."""

import re
from pathlib import Path

from django.conf import settings

from messaging import twilio_codes
from messaging.twilio_api import errors
from messaging.twilio_api.errors import TwilioFault

PAGE = (Path(settings.BASE_DIR) / "docs" / "coming-from-twilio.md").read_text()
FAULTS = [value for value in vars(errors).values() if isinstance(value, TwilioFault)]


def test_the_table_has_every_error_with_its_status() -> None:
    documented = {
        (int(status), int(code)) for status, code in re.findall(r"^\| (\d{3}) \| (\d{5}) \|", PAGE, re.MULTILINE)
    }

    assert documented == {(fault.status, fault.code) for fault in FAULTS}
    assert len({fault.code for fault in FAULTS}) == len(FAULTS)


def test_the_table_has_the_code_of_each_error_of_a_message() -> None:
    rows = re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \| ([\d, ]+) \|$", PAGE, re.MULTILINE)
    documented: dict[str, int] = {}
    for names, codes in rows:
        ours, theirs = re.findall(r"`(\w+)`", names), [int(code) for code in codes.split(", ")]
        documented |= zip(ours, theirs * len(ours) if len(theirs) == 1 else theirs, strict=True)

    assert documented == dict(twilio_codes.CODES)
    assert f"| any other | {twilio_codes.UNKNOWN_ERROR} |" in PAGE
