"""The REST API of images."""

from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import Http404, HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, inline_serializer
from rest_framework import mixins, serializers, viewsets
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request
from rest_framework.response import Response

from media_store import services
from media_store.api import content
from media_store.api.serializers import MediaAssetSerializer
from media_store.api.uploads import FIELD, ImageUploadParser, refuse_by_length, uploaded
from media_store.models import MediaAsset

UPLOAD = inline_serializer(
    "ImageFile", {FIELD: serializers.FileField(help_text="A JPEG, PNG, GIF, WebP, HEIC or AVIF image.")}
)
LINK_PARAMETERS = tuple(
    OpenApiParameter(name, str, description="Part of a signed URL. Such a request needs no token.")
    for name in ("expires", "profile", "signature")
)
SENT = "sent"
COPY = OpenApiParameter(
    "copy",
    {"type": "string", "enum": [SENT]},
    description="`sent`: the copy that goes out, without metadata; a HEIC or AVIF as JPEG, which every browser shows.",
)
IF_NONE_MATCH = OpenApiParameter("If-None-Match", str, OpenApiParameter.HEADER, description="The ETag of your copy.")
# drf-spectacular declares names here, but copies anything else into the document as it is.
CONTENT_AUTH = cast("list[str]", [{"bearer": []}, {"cookieAuth": []}, {}])


class MediaViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, viewsets.GenericViewSet[MediaAsset]):
    queryset = MediaAsset.objects.none()  # for the schema; `get_queryset` chooses by user
    serializer_class = MediaAssetSerializer
    parser_classes = [ImageUploadParser]
    lookup_value_converter = "uuid"
    action_permissions = {
        "create": "media_store.add_mediaasset",
        "list": "media_store.view_mediaasset",
        "retrieve": "media_store.view_mediaasset",
        "destroy": "media_store.delete_mediaasset",
        "content": "media_store.view_mediaasset",
    }
    action_queries = {"content": (*LINK_PARAMETERS, COPY)}

    def get_queryset(self) -> QuerySet[MediaAsset]:
        return services.visible_to(self._user)

    @property
    def _user(self) -> User:
        """Never anonymous, because every action needs a permission."""
        return cast("User", self.request.user)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Check the length before authentication: for a browser session, Django's CSRF check reads the form."""
        refuse_by_length(request)
        super().initial(request, *args, **kwargs)

    def get_permissions(self) -> list[BasePermission]:
        """A signature replaces the permission; `content` verifies it.

        Carriers may add their own query parameters to a signed URL, so unknown ones are not refused there.
        """
        return [AllowAny()] if self._has_signature() else cast("list[BasePermission]", super().get_permissions())

    def _has_signature(self) -> bool:
        return self.action == "content" and "signature" in self.request.GET

    @extend_schema(
        request={"multipart/form-data": UPLOAD},
        responses={
            201: MediaAssetSerializer,
            200: OpenApiResponse(MediaAssetSerializer, description="The same bytes were already stored."),
        },
    )
    def create(self, request: Request) -> Response:
        [upload] = uploaded(request)
        stored = services.store(owner=self._user, stream=upload.chunks(), now=timezone.now())
        body = self.get_serializer(stored.asset).data
        location = self.reverse_action("detail", args=[stored.asset.pk])
        return Response(body, status=201 if stored.created else 200, headers={"Location": location})

    @extend_schema(request=None, responses={204: None})
    def destroy(self, request: Request, pk: UUID) -> Response:
        """Staff who see all images delete the image itself; other users remove it from their own images."""
        owner = None if services.sees_all(self._user) else self._user
        try:
            services.delete(asset_id=self.get_object().pk, owner=owner)
        except MediaAsset.DoesNotExist:
            raise Http404 from None
        return Response(status=204)

    @extend_schema(
        parameters=[IF_NONE_MATCH],
        responses={
            (200, "image/*"): OpenApiTypes.BINARY,
            304: OpenApiResponse(description="Your copy is current. An image never changes."),
        },
        auth=CONTENT_AUTH,
    )
    @action(detail=True, content_negotiation_class=content.AnyAccepted, pagination_class=None)
    def content(self, request: Request, pk: UUID) -> HttpResponseBase:
        if not self._has_signature():
            return self._own_copy(request)
        now, query = timezone.now(), request.query_params
        profile = query.get("profile", "")
        expiry = services.read_expiry(
            asset_id=pk, expires=query.get("expires", ""), signature=query["signature"], now=now, profile=profile
        )
        if expiry is None:
            raise PermissionDenied("The signature is not valid, or the URL has expired.")
        asset = get_object_or_404(MediaAsset, pk=pk)
        chosen = content.scaled(asset, profile) if profile else content.clean(asset)
        return content.content_response(request, asset, chosen, max_age=int((expiry - now).total_seconds()))

    def _own_copy(self, request: Request) -> HttpResponseBase:
        asset = self.get_object()
        chosen = content.clean(asset) if _wants_sent_copy(request) else content.original(asset)
        return content.content_response(request, asset, chosen, max_age=content.A_YEAR)


def _wants_sent_copy(request: Request) -> bool:
    wanted = request.query_params.get(COPY.name)
    if wanted not in {None, SENT}:
        raise serializers.ValidationError({COPY.name: [f"This must be '{SENT}'."]}, code="invalid_choice")
    return wanted == SENT
