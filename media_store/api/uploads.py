"""Parse image uploads from multipart forms: spooled to disk, with every limit enforced while the form arrives.

`ImageUploadParser` accepts one file; a subclass with another `max_files` accepts several in the same field.
"""

from collections.abc import Mapping
from tempfile import TemporaryFile
from typing import IO, Any, cast

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler
from django.http import HttpRequest
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.parsers import DataAndFiles, MultiPartParser
from rest_framework.request import Request

from media_store.api.bounded_stream import BoundedStream
from media_store.errors import FileTooLarge

FIELD = "file"
CSRF_FIELD = "csrfmiddlewaretoken"  # sent along by forms in a browser session
MAX_NAME = 64  # of a field's name, when an error quotes it
FORM_BYTES = 64 * 1024  # for everything but the files: boundaries, headers, names


def _refusal(field: str, code: str, text: str) -> ValidationError:
    return ValidationError({field: [ErrorDetail(text, code=code)]})


def _unknown(name: str) -> ValidationError:
    shown = name[:MAX_NAME]
    return _refusal(shown, "unknown_field", f"There is no field '{shown}'. Send the image as the form field '{FIELD}'.")


class _ImageHandler(FileUploadHandler):
    """Refuses unknown fields, too many files and too large files while the form arrives.

    Files are spooled to unnamed temporary files, unlike Django's own handler, so that nothing is left when the process ends.
    """

    def __init__(self, request: HttpRequest, max_files: int) -> None:
        super().__init__(request)
        self.max_files = max_files
        self.files = 0

    def new_file(self, field_name: str, *args: Any, **kwargs: Any) -> None:
        if field_name != FIELD:
            raise _unknown(field_name)
        self.files += 1
        if self.files > self.max_files:
            raise _too_many(self.max_files)
        super().new_file(field_name, *args, **kwargs)
        spool = TemporaryFile()  # noqa: SIM115 (closed with the form)
        self.file = UploadedFile(spool, self.file_name, self.content_type, 0, self.charset)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        if start + len(raw_data) > settings.MEDIA_MAX_BYTES:
            raise FileTooLarge(settings.MEDIA_MAX_BYTES)
        self.file.write(raw_data)

    def file_complete(self, file_size: int) -> "UploadedFile[bytes]":
        self.file.seek(0)
        self.file.size = file_size
        return self.file

    def upload_interrupted(self) -> None:
        self.close()

    def close(self) -> None:
        """Discard the file that was arriving."""
        if self.files and hasattr(self, "file"):
            self.file.close()


class ImageUploadParser(MultiPartParser):
    max_files = 1

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> "DataAndFiles[Any, Any]":
        """Raises `FileTooLarge`, and `ValidationError` for a field that is not expected."""
        request: Request = (parser_context or {})["request"]
        limit = refuse_by_length(request, max_files=self.max_files)
        handler = _ImageHandler(request._request, self.max_files)  # noqa: SLF001
        request.upload_handlers = [handler]
        try:
            bounded = BoundedStream(stream, limit, FileTooLarge(settings.MEDIA_MAX_BYTES))
            return super().parse(cast("IO[Any]", bounded), media_type, parser_context)
        except Exception:
            handler.close()
            raise


def refuse_by_length(request: Request, *, max_files: int = 1) -> int:
    """Return the size limit of a form with `max_files` files. Raises `FileTooLarge` if its Content-Length exceeds it."""
    limit: int = max_files * settings.MEDIA_MAX_BYTES + FORM_BYTES
    length = request.META.get("CONTENT_LENGTH") or "0"
    if not length.isdigit() or int(length) > limit:
        raise FileTooLarge(settings.MEDIA_MAX_BYTES)
    return limit


def uploaded(request: Request, *, max_files: int = 1) -> "list[UploadedFile[bytes]]":
    """Return the files of the form, at least one. Raises `ValidationError` for a missing, unknown or non-file field."""
    for name in request.data:
        if name not in {FIELD, CSRF_FIELD}:
            raise _unknown(name)
    values = request.data.getlist(FIELD) if hasattr(request.data, "getlist") else []
    if not values:
        raise _refusal(FIELD, "required", f"Send the image as the form field {FIELD}.")
    if not all(isinstance(value, UploadedFile) for value in values):
        raise _refusal(FIELD, "invalid", "This must be a file, not text.")
    if len(values) > max_files:
        raise _too_many(max_files)
    return values


def _too_many(max_files: int) -> ValidationError:
    return _refusal(FIELD, "too_many_files", f"Send no more than {max_files} at a time.")
