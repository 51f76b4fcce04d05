"""Files that come as a form: to disk while they arrive, and no more than we are ready to keep."""

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from rest_framework.parsers import MultiPartParser

from media_store.api.bounded_stream import BoundedStream

MAX_FILE_BYTES = 50 * 1024 * 1024
MAX_FORM_BYTES = MAX_FILE_BYTES + 64 * 1024


class CsvUploadParser(MultiPartParser):
    def parse(self, stream: Any, media_type: str | None = None, parser_context: dict | None = None) -> Any:
        request = parser_context["request"]
        if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_FORM_BYTES:
            raise RequestDataTooBig
        request.upload_handlers = [TemporaryFileUploadHandler(request._request)]  # noqa: SLF001
        return super().parse(BoundedStream(stream, MAX_FORM_BYTES, RequestDataTooBig()), media_type, parser_context)
