"""REST view of the export of one person."""

from django.http import StreamingHttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request
from rest_framework.viewsets import ViewSet

from messaging import e164
from messaging.api.access import user_of
from messaging.api.filters import as_number
from messaging.services.access import sees_all
from messaging.services.privacy.export import PERMISSION
from scheduling.services.person_export import person_export


class PersonExportViewSet(ViewSet):
    """Of all owners, and with the texts: for staff with a permission of its own."""

    action_permissions = {"export": PERMISSION}

    @extend_schema(
        parameters=[OpenApiParameter("number", str, OpenApiParameter.PATH, description="In any notation.")],
        responses=OpenApiTypes.OBJECT,
    )
    def export(self, request: Request, number: str) -> StreamingHttpResponse:
        user, normalised = user_of(request), as_number(number)
        if not sees_all(user, PERMISSION):
            raise PermissionDenied("An export has the messages of all clients. Only staff may make it.")
        try:
            e164.normalise(normalised)
        except e164.InvalidNumber:
            raise NotFound from None
        return StreamingHttpResponse(
            person_export(number=normalised, actor=user, now=timezone.now()),
            content_type="application/json",
            headers={
                "Content-Disposition": f'attachment; filename="person-{normalised.removeprefix("+")}.json"',
                "Cache-Control": "no-store",
            },
        )
