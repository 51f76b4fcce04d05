"""Responses with an image's bytes: conditional, cacheable by hash, and safe in a browser."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.http import FileResponse, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils.cache import get_conditional_response
from django.utils.http import content_disposition_header
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from media_store.content_types import EXTENSIONS
from media_store.models import MediaAsset
from media_store.services import files
from media_store.validation import CONTENT_TYPES

A_YEAR = 31_536_000
FILE_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"


@dataclass(frozen=True)
class ServedFile:
    """A file of the asset: its name in the storage, its size in bytes, its ETag and its type."""

    name: str
    size: int
    etag: str
    content_type: str


def original(asset: MediaAsset) -> ServedFile:
    """The file as it was uploaded."""
    name = files.name(files.ORIGINAL, asset.sha256)
    return ServedFile(name, asset.size, f'"{asset.sha256}"', asset.content_type)


def clean(asset: MediaAsset) -> ServedFile:
    """The copy without metadata, which is the original when there is none to remove."""
    if asset.clean_size is None:
        return original(asset)
    name, content_type = files.name(files.CLEAN, asset.sha256), asset.clean_content_type or asset.content_type
    return ServedFile(name, asset.clean_size, f'"{asset.sha256}-clean"', content_type)


def scaled(asset: MediaAsset, profile: str) -> ServedFile:
    """The smaller copy for a profile. Raises 404 if there is none: it is made before its URL is given away, and never here."""
    copy = get_object_or_404(asset.renditions, profile=profile)
    name = files.rendition_name(asset.sha256, profile)
    return ServedFile(name, copy.size, f'"{asset.sha256}-{profile}"', copy.content_type)


def content_response(request: Request, asset: MediaAsset, chosen: ServedFile, *, max_age: int) -> HttpResponseBase:
    """Respond to GET or HEAD, with 304 when the client's copy is current. `max_age` in seconds."""
    known = CONTENT_TYPES.get(chosen.content_type)
    # Only images are shown inline: other files came from strangers, and a browser would run what some of them contain.
    extension = known.extension if known else EXTENSIONS.get(chosen.content_type, "bin")
    as_attachment, filename = known is None, f"{asset.pk}.{extension}"
    headers = {
        "Content-Length": str(chosen.size),
        "Content-Disposition": content_disposition_header(as_attachment, filename) or "",
        "Cache-Control": f"private, max-age={max_age}, immutable",
        "ETag": chosen.etag,
        "X-Content-Type-Options": "nosniff",
        **({"Content-Security-Policy": FILE_POLICY} if as_attachment else {}),
    }
    empty = HttpResponse(headers=headers, content_type=chosen.content_type)
    conditional = get_conditional_response(request, etag=chosen.etag, response=empty) or empty
    if conditional is not empty or request.method == "HEAD":
        return conditional
    file = files.storage().open(chosen.name, "rb")
    return FileResponse(
        file, headers=headers, content_type=chosen.content_type, as_attachment=as_attachment, filename=filename
    )


class AnyAccepted(DefaultContentNegotiation):
    """Ignores `Accept`: clients of this endpoint ask for images, and errors are JSON all the same."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        first = next(iter(renderers))
        return first, first.media_type
