"""System checks of the media settings, and the parsing of MEDIA_STORAGE_URL."""

from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import storages
from PIL import Image

from media_store import checks, storage_address

SECRET = "wJalrXUtn/FEMI"


def storage(address: str) -> dict:
    return storage_address.storage(address, local_folder=Path("/data/media"))


def ids(messages: list) -> list[str]:
    return [message.id for message in messages]


def test_without_a_url_files_are_stored_in_the_local_folder() -> None:
    assert storage("") == {
        "BACKEND": "media_store.storage.LocalMediaStorage",
        "OPTIONS": {"location": "/data/media"},
    }


def test_a_url_configures_a_bucket() -> None:
    entry = storage("s3://AKIA:wJalrXUtn%2FFEMI@s3.example.org:9000/pictures?region=eu-1&prefix=a/b/&style=virtual")

    assert entry["BACKEND"] == "media_store.s3_storage.S3MediaStorage"
    wanted = {
        "endpoint_url": "https://s3.example.org:9000",
        "access_key": "AKIA",
        "secret_key": SECRET,
        "bucket_name": "pictures",
        "region_name": "eu-1",
        "location": "a/b",
        "addressing_style": "virtual",
        "default_acl": None,
    }
    assert {name: entry["OPTIONS"][name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("address", "endpoint"),
    [
        ("s3://k:s@host/bucket", "https://host"),
        ("s3+http://k:s@127.0.0.1:9000/bucket", "http://127.0.0.1:9000"),
        ("s3://k:s@[::1]:9000/bucket/", "https://[::1]:9000"),
    ],
)
def test_the_endpoint(address: str, endpoint: str) -> None:
    assert storage(address)["OPTIONS"]["endpoint_url"] == endpoint


@pytest.mark.parametrize(
    "address",
    [
        "nonsense",
        f"https://key:{SECRET}@host/bucket",
        f"s3://key:{SECRET}@host",
        f"s3://key:{SECRET}@host/",
        f"s3://key:{SECRET}@host/one/two",
        f"s3://key:{SECRET}@host:port/bucket",
        f"s3://key:{SECRET}@/bucket",
        "s3://host/bucket",
        "s3://key@host/bucket",
        f"s3://key:{SECRET}@host/bucket?regoin=eu",
        f"s3://key:{SECRET}@host/bucket?style=other",
        f"s3://key:{SECRET}@host/bucket?region",
        f"s3://key:{SECRET}@[host/bucket",
    ],
)
def test_an_invalid_url_is_an_error_that_does_not_quote_the_secret(settings, address: str) -> None:
    settings.STORAGES = {**settings.STORAGES, "media": storage(address)}

    [error] = checks.check_storage(None)

    assert error.id == "media_store.E001"
    assert error.msg.startswith("MEDIA_STORAGE_URL")
    assert SECRET not in error.msg
    with pytest.raises(ImproperlyConfigured, match="MEDIA_STORAGE_URL"):
        storages["media"].exists("original/ab/cd")


def test_the_defaults_pass_the_checks(settings) -> None:
    settings.STORAGES = {**settings.STORAGES, "media": storage("")}

    assert checks.check_storage(None) == checks.check_limits(None) == checks.check_transport(None) == []


@pytest.mark.parametrize("name", ["MEDIA_MAX_BYTES", "MEDIA_MAX_PIXELS", "MEDIA_MAX_FRAMES"])
def test_a_limit_of_zero_or_less_is_an_error(settings, name: str) -> None:
    setattr(settings, name, 0)

    [error] = checks.check_limits(None)

    assert (error.id, error.msg) == ("media_store.E002", f"{name} must be greater than zero.")


@pytest.mark.parametrize(("more", "found"), [(0, []), (1, ["media_store.E003"])])
def test_a_limit_beyond_pillows_own_is_an_error(settings, more: int, found: list[str]) -> None:
    settings.MEDIA_MAX_PIXELS = Image.MAX_IMAGE_PIXELS + more

    assert ids(checks.check_limits(None)) == found


@pytest.mark.parametrize(("scheme", "found"), [("s3", []), ("s3+http", ["media_store.W001"])])
def test_a_deployment_without_tls_to_the_storage_is_a_warning(settings, scheme: str, found: list[str]) -> None:
    settings.STORAGES = {**settings.STORAGES, "media": storage(f"{scheme}://k:s@host/bucket")}

    assert ids(checks.check_transport(None)) == found


def test_unknown_names_of_file_types_are_reported(settings) -> None:
    assert checks.check_file_types(None) == []

    settings.INBOUND_FILE_TYPES = []
    assert checks.check_file_types(None) == []

    settings.INBOUND_FILE_TYPES = ["vcard", "image", "zip"]
    [found] = checks.check_file_types(None)
    assert (found.id, found.msg) == ("media_store.E004", "INBOUND_FILE_TYPES has unknown names: image, zip.")
    assert found.hint == "It is a list of vcard, audio, video, pdf; images are always taken."
