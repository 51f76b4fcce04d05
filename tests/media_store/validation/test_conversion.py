"""The process that converts: what it gets, and what happens when it fails."""

import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest

from media_store.errors import BadImage, NotAnImage
from media_store.validation import conversion, recognition
from tests.media_store import bad_files, pictures
from tests.media_store.pictures import box, heic
from tests.media_store.validation.opened import validate


def refusal(content: bytes) -> tuple[str, str]:
    with pytest.raises(BadImage) as error:
        validate(content)
    return error.value.field_code, error.value.detail


@pytest.mark.parametrize("program", ["no.such.module", "this"], ids=["fails", "writes nothing"])
def test_a_program_without_a_result_is_a_refusal(monkeypatch, program: str) -> None:
    monkeypatch.setattr(conversion, "PROGRAM", program)

    code, detail = refusal(heic())

    assert code == "damaged"
    assert "It cannot be decoded." in detail


def test_a_program_that_takes_too_long_is_a_refusal(monkeypatch) -> None:
    monkeypatch.setattr(conversion, "SECONDS", 0)

    code, detail = refusal(heic())

    assert code == "damaged"
    assert "takes too long" in detail


@pytest.mark.parametrize(
    ("written", "code"),
    [
        (b"no picture", "damaged"),
        (pictures.encoded("PNG"), "damaged"),
        (pictures.encoded("JPEG")[:-9], "truncated"),
        (pictures.encoded("JPEG") + b"<script>", "damaged"),
        (pictures.with_metadata("JPEG"), "damaged"),
    ],
    ids=["text", "PNG", "truncated", "tail", "metadata"],
)
def test_the_result_is_checked_like_an_upload(monkeypatch, written: bytes, code: str) -> None:
    def run(command, **_options):
        with open(int(command[5]), "wb", closefd=False) as target:
            target.write(written)
        return SimpleNamespace(returncode=0, stdout=b"")

    monkeypatch.setattr(conversion.subprocess, "run", run)

    assert refusal(heic())[0] == code


@pytest.mark.parametrize(
    "output", [b"", b"no JSON", b'["another_code", "text"]', b'{"a": 1, "b": 2, "c": 3}', b"[[], {}]"]
)
def test_what_the_program_says_is_not_trusted(monkeypatch, output: bytes) -> None:
    monkeypatch.setattr(
        conversion.subprocess, "run", lambda *_args, **_options: SimpleNamespace(returncode=1, stdout=output)
    )

    assert refusal(heic())[0] == "damaged"


@pytest.mark.parametrize("ended_by", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda each: each.name)
def test_a_program_that_is_ended_from_outside_says_nothing_of_the_file(monkeypatch, ended_by: signal.Signals) -> None:
    """A service manager ends all processes of a worker that it stops; the picture is whole, and is fetched again."""
    monkeypatch.setattr(
        conversion.subprocess, "run", lambda *_args, **_options: SimpleNamespace(returncode=-ended_by, stdout=b"")
    )

    with pytest.raises(OSError, match=f"ended by {ended_by.name}"):
        validate(heic())


def test_the_limit_of_cpu_time_ends_the_program_by_a_signal_of_its_own() -> None:
    program = (
        "from media_store.validation import jpeg_program as program\n"
        "program.CPU_SECONDS = 1\n"
        "program._limit_resources(program.LEAST_PIXELS)\n"
        "while True: pass\n"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=conversion.ROOT, check=False, timeout=60)

    assert -done.returncode == signal.SIGXCPU
    assert done.returncode not in conversion.ENDED_FROM_OUTSIDE


def test_the_program_gets_two_files_and_no_secrets(monkeypatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "a secret")
    monkeypatch.setenv("PATH", "/bin")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    calls = []

    def run(command, **options):
        calls.append((command, options))
        raise subprocess.TimeoutExpired(command, 1)

    monkeypatch.setattr(conversion.subprocess, "run", run)
    refusal(heic())

    [(command, options)] = calls
    assert options["env"] == {"PATH": "/bin"}
    assert options["pass_fds"] == tuple(map(int, command[4:6]))
    assert command[6] == "25000000"


KNOWN = {
    "an empty file": b"",
    "a PDF document": bad_files.PDF,
    "a TIFF or raw image": bad_files.other_format("TIFF"),
    "a BMP image": bad_files.other_format("BMP"),
    "an icon file": bad_files.other_format("ICO"),
    "a JPEG 2000 image": bad_files.other_format("JPEG2000"),
    "an SVG drawing": b'<?xml version="1.0"?>\n<!-- made by hand -->' + bad_files.SVG,
    "a web page": bad_files.HTML,
    "an archive or an office document": pictures.archive(),
    "a raw image": box(b"ftyp", b"crx ", bytes(4), b"crx isom"),
    "a sound": box(b"ftyp", b"M4A ", bytes(4), b"M4A mp42"),
    "a video": box(b"ftyp", b"qt  ", bytes(4), b"qt  "),
    "a contact card": b"BEGIN:VCARD\r\nVERSION:3.0\r\nEND:VCARD\r\n",
    "": bad_files.noise(100),
}


def test_a_contact_card_with_a_byte_order_mark_is_named() -> None:
    assert recognition.described(b"\xef\xbb\xbf" + KNOWN["a contact card"]) == "a contact card"


@pytest.mark.parametrize(("name", "content"), KNOWN.items(), ids=[name or "unknown" for name in KNOWN])
def test_a_file_that_is_no_picture_is_named(name: str, content: bytes) -> None:
    assert recognition.described(content[: recognition.HEAD]) == name

    if content:
        with pytest.raises(NotAnImage) as error:
            validate(content)
        expected = (
            f"This is {name}, not a picture that can be sent." if name else "This is not a picture that can be sent."
        )
        assert error.value.detail == f"{expected} JPEG, PNG, GIF, WebP, HEIC and AVIF are accepted."
