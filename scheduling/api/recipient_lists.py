"""What requests say about their lists: the country of numbers without a plus, and whether the list is only checked."""

from typing import BinaryIO, cast

from django.core.files.uploadedfile import UploadedFile
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

from messaging.api.dry_run import is_dry_run
from messaging.api.known_names import refuse_unknown_form_fields
from messaging.services.errors import InvalidField
from scheduling.api.serializers import COUNTRY_FIELD, COUNTRY_HELP, MoreRecipientsSerializer
from scheduling.list_spool import ListSpool
from scheduling.models import Schedule
from scheduling.recipients_csv import ListFormat
from scheduling.services import recipients, texts
from scheduling.services.recipients import ImportReport

MAX_HEADER = 200  # characters of `to_column`
TO_COLUMN = OpenApiParameter(
    "to_column",
    {"type": "string", "maxLength": MAX_HEADER},
    description="The header of the column with the numbers, if the file does not call it `to`, `phone` or `mobile`.",
)
DEFAULT_COUNTRY = OpenApiParameter(
    COUNTRY_FIELD, {"type": "string", "pattern": "^[A-Z]{2}$"}, description=f"{COUNTRY_HELP} In JSON also as a field."
)


def country_of(request: Request) -> str:
    """The `default_country` of the query or of a JSON object. Raises `InvalidField` for no country, or for two of them."""
    given = request.query_params.get(COUNTRY_FIELD, "")
    field = request.data.get(COUNTRY_FIELD) if isinstance(request.data, dict) else None
    for country in (given, "" if field is None else field):
        recipients.check_country(country)
    if given and field and given != field:
        raise InvalidField(COUNTRY_FIELD, "conflict", "The query and the body name two countries.")
    return given or field or ""


def add(schedule: Schedule, request: Request) -> ImportReport:
    """Add the list in the request, or with `dry_run` only check it."""
    is_dry = is_dry_run(request)
    texts.refresh(schedule)
    if request.content_type.startswith("multipart/"):
        stream, form = _file(request), _format(request)
        if is_dry:
            with ListSpool() as spool:
                report = recipients.examine_csv(
                    stream=stream, text=schedule.text, schedule_id=schedule.pk, spool=spool, form=form
                )
            recipients.refuse_given_up(report)
            return report
        return recipients.add_csv(schedule_id=schedule.pk, stream=stream, now=timezone.now(), form=form)
    if request.query_params.get(TO_COLUMN.name):
        raise InvalidField(TO_COLUMN.name, "only_with_a_file", "This applies to a CSV file, not to a JSON list.")
    body = {"recipients": request.data} if isinstance(request.data, list) else request.data
    serializer = MoreRecipientsSerializer(data=body, context={COUNTRY_FIELD: country_of(request)})
    serializer.is_valid(raise_exception=True)
    if is_dry:
        with ListSpool() as spool:
            return recipients.examine(rows=serializer.rows(), text=schedule.text, schedule_id=schedule.pk, spool=spool)
    return recipients.add(schedule_id=schedule.pk, rows=serializer.rows(), now=timezone.now())


def _file(request: Request) -> BinaryIO:
    data = request.data
    refuse_unknown_form_fields(data, ("file",))
    upload = None if isinstance(data, list) else data.get("file")
    if not isinstance(upload, UploadedFile):
        raise ValidationError({"file": ["Send the CSV as the form field file."]}, code="required")
    # django-stubs allow a file that is None, which an upload never has.
    return cast("BinaryIO", upload.file)


def _format(request: Request) -> ListFormat:
    return ListFormat(
        to_column=request.query_params.get(TO_COLUMN.name, "")[:MAX_HEADER],
        country=request.query_params.get(DEFAULT_COUNTRY.name, ""),
    )
