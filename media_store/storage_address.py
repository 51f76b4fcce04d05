"""Parses MEDIA_STORAGE_URL: `s3://key:secret@endpoint/bucket?region=…&prefix=…`. The settings call it, so no Django here."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

SCHEMES = {"s3": "https", "s3+http": "http"}  # s3+http: for a server in your own network
STYLES = {"path", "virtual"}
OPTIONS = {"region", "prefix", "style"}
IN_MEMORY = 64 * 1024


class InvalidStorageUrl(ValueError):
    """The message never quotes the URL, because it contains a secret."""


def storage(url: str, *, local_folder: Path) -> dict[str, Any]:
    """Return the entry for Django's STORAGES; an invalid URL gives an `UnusableStorage`."""
    if not url:
        return {"BACKEND": "media_store.storage.LocalMediaStorage", "OPTIONS": {"location": str(local_folder)}}
    try:
        return {"BACKEND": "media_store.s3_storage.S3MediaStorage", "OPTIONS": _s3_options(url)}
    except InvalidStorageUrl as error:
        return {"BACKEND": "media_store.storage.UnusableStorage", "OPTIONS": {"reason": str(error)}}


def _s3_options(url: str) -> dict[str, Any]:
    try:
        parts = urlsplit(url)
        port = parts.port
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise InvalidStorageUrl("MEDIA_STORAGE_URL is not a URL.") from None
    if parts.scheme not in SCHEMES:
        raise InvalidStorageUrl("MEDIA_STORAGE_URL must begin with s3:// (or s3+http:// for a server without TLS).")
    if not parts.hostname or not parts.username or not parts.password:
        raise InvalidStorageUrl(
            "MEDIA_STORAGE_URL needs a key, a secret and an endpoint: s3://key:secret@endpoint/bucket."
        )
    bucket = unquote(parts.path.strip("/"))
    if not bucket or "/" in bucket:
        raise InvalidStorageUrl(
            "MEDIA_STORAGE_URL must name one bucket after the endpoint; a folder in it is ?prefix=."
        )
    if set(query) - OPTIONS or query.get("style", "path") not in STYLES or parts.fragment:
        raise InvalidStorageUrl("MEDIA_STORAGE_URL takes the options region, prefix and style (path or virtual).")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return {
        "endpoint_url": f"{SCHEMES[parts.scheme]}://{host}{f':{port}' if port else ''}",
        "access_key": unquote(parts.username),
        "secret_key": unquote(parts.password),
        "bucket_name": bucket,
        "region_name": query.get("region") or "us-east-1",
        "location": query.get("prefix", "").strip("/"),
        "addressing_style": query.get("style", "path"),
        "signature_version": "s3v4",
        "default_acl": None,
        "file_overwrite": True,
        "max_memory_size": IN_MEMORY,
    }
