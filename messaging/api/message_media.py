"""REST views of the images attached to a message."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from media_store import services as media
from media_store.api.serializers import MediaAssetSerializer
from media_store.api.uploads import FIELD, ImageUploadParser, refuse_by_length, uploaded
from media_store.models import MediaAsset
from messaging.api.access import messages_of, user_of
from messaging.models import Message
from messaging.models.attachment import MAX_ATTACHMENTS
from messaging.services.outbound import attachments

FILES = inline_serializer(
    "ImageFiles",
    {
        FIELD: serializers.ListField(
            child=serializers.FileField(), min_length=1, max_length=MAX_ATTACHMENTS, help_text="Images; repeatable."
        )
    },
)
LIST = MediaAssetSerializer(many=True)


class _FilesParser(ImageUploadParser):
    max_files = MAX_ATTACHMENTS


class MessageMediaViewSet(viewsets.GenericViewSet):
    queryset = MediaAsset.objects.none()  # for the schema
    serializer_class = MediaAssetSerializer
    parser_classes = [_FilesParser]
    pagination_class = None
    filterset_class = None
    action_permissions = {
        "list": "messaging.view_message",
        "create": ("messaging.change_message", "media_store.add_mediaasset"),
    }

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check the length before authentication: in a browser session, Django's CSRF check would read the whole form."""
        refuse_by_length(request, max_files=MAX_ATTACHMENTS)
        super().initial(request, *args, **kwargs)

    @extend_schema(responses=LIST)
    def list(self, request: Request, pk: UUID) -> Response:
        return Response(self._body(self._message(pk)))

    @extend_schema(
        request={"multipart/form-data": FILES},
        responses={201: LIST, 200: OpenApiResponse(LIST, description="All of them were attached already.")},
    )
    def create(self, request: Request, pk: UUID) -> Response:
        message = self._message(pk)
        attachments.check_attachable(message)
        now = timezone.now()
        stored = [
            media.store(owner=user_of(request), stream=upload.chunks(), now=now).asset
            for upload in uploaded(request, max_files=MAX_ATTACHMENTS)
        ]
        is_any_new = attachments.attach(message_id=message.pk, assets=stored, actor=user_of(request), now=now)
        return Response(self._body(message), status=201 if is_any_new else 200)

    def _message(self, pk: UUID) -> Message:
        return get_object_or_404(messages_of(user_of(self.request)), pk=pk)

    def _body(self, message: Message) -> Sequence[dict[str, Any]]:
        assets = MediaAsset.objects.filter(attachments__message=message)
        body: list[dict[str, Any]] = self.get_serializer(assets.order_by("attachments__position"), many=True).data
        return body
