"""CSV uploads in a multipart form: written to disk while they arrive, and limited in size."""

from collections.abc import Mapping
from typing import IO, Any, cast

from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from rest_framework.parsers import MultiPartParser

from media_store.api.bounded_stream import BoundedStream

MAX_FILE_BYTES = 50 * 1024 * 1024
MAX_FORM_BYTES = MAX_FILE_BYTES + 64 * 1024


class CsvUploadParser(MultiPartParser):
    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:  # Any: the base class declares it
        request = (parser_context or {})["request"]
        if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_FORM_BYTES:
            raise RequestDataTooBig
        request.upload_handlers = [TemporaryFileUploadHandler(request._request)]  # noqa: SLF001
        # Django's parser only calls `read`, but is typed for a whole file.
        bounded = cast("IO[bytes]", BoundedStream(stream, MAX_FORM_BYTES, RequestDataTooBig()))
        return super().parse(bounded, media_type, parser_context)
