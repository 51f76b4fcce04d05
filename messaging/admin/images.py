"""Images and other files in the console: view or save them, and delete them with the service that the API uses."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from media_store import services
from media_store.content_types import LABELS, is_image
from media_store.errors import AssetInUse
from media_store.models import MediaAsset, MediaOwnership
from messaging.console.model_admin import ModelAdmin

THUMBNAIL, PREVIEW = 64, 480


@admin.register(MediaAsset)
class MediaAssetAdmin(ModelAdmin):
    list_display = ["thumbnail", "content_type", "dimensions", "file_size", "frames", "owner_names", "created_at"]
    list_display_links = ["thumbnail", "content_type"]
    list_filter = ["content_type", "created_at"]
    search_fields = ["sha256"]  # enables the search box; `get_search_results` does the search
    search_help_text = "A full id, the start of a SHA-256, or the start of an owner's name"
    ordering = ["-pk"]
    list_per_page = 25
    show_full_result_count = False
    fields = (
        *("preview", "id", "sha256", "content_type", "dimensions", "frames", "file_size", "sent_size", "owner_names"),
        "created_at",
    )
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[MediaAsset]:
        return super().get_queryset(request).prefetch_related("owners")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[MediaAsset], search_term: str
    ) -> tuple[QuerySet[MediaAsset], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        of_owner = MediaOwnership.objects.filter(asset=OuterRef("pk"), owner__username__startswith=term)
        condition = Q(sha256__startswith=term.lower()) | Q(Exists(of_owner))
        with suppress(ValueError):
            condition |= Q(pk=UUID(term))
        return queryset.filter(condition), False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="file")
    def thumbnail(self, asset: MediaAsset) -> SafeString:
        return _image(asset, THUMBNAIL)

    @admin.display(description="file")
    def preview(self, asset: MediaAsset) -> SafeString:
        return _image(asset, PREVIEW) if is_image(asset.content_type) else file_link(asset)

    @admin.display(description="pixels")
    def dimensions(self, asset: MediaAsset) -> str:
        return f"{asset.width} x {asset.height}" if asset.width else "-"

    @admin.display(description="size", ordering="size")
    def file_size(self, asset: MediaAsset) -> str:
        return filesizeformat(asset.size)

    @admin.display(description="size as sent")
    def sent_size(self, asset: MediaAsset) -> str:
        size = filesizeformat(asset.size if asset.clean_size is None else asset.clean_size)
        return f"{size} ({asset.clean_content_type})" if asset.clean_content_type else size

    @admin.display(description="owners")
    def owner_names(self, asset: MediaAsset) -> str:
        return ", ".join(sorted(str(owner) for owner in asset.owners.all())) or "-"

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Report an image that came into use after the confirmation page was shown."""
        try:
            return super().delete_view(request, object_id, extra_context)
        except AssetInUse as error:
            self.message_user(request, error.detail, messages.ERROR)
            return HttpResponseRedirect(reverse("admin:media_store_mediaasset_change", args=[object_id]))

    def delete_model(self, request: HttpRequest, obj: MediaAsset) -> None:
        services.delete(asset_id=obj.pk, owner=None)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[MediaAsset]) -> None:
        for pk in list(queryset.values_list("pk", flat=True)):
            try:
                services.delete(asset_id=pk, owner=None)
            except AssetInUse as error:
                self.message_user(request, f"{pk}: {error.detail}", messages.WARNING)


def file_link(asset: MediaAsset) -> SafeString:
    """Return a link by which the browser saves a file that is not an image."""
    return format_html(
        '<a class="sb-file" href="{}" download>'
        '<span class="material-symbols-outlined" aria-hidden="true">download</span>{} · {}</a>',
        reverse("media-content", args=[asset.pk]),
        LABELS.get(asset.content_type, asset.content_type),
        filesizeformat(asset.size),
    )


def _image(asset: MediaAsset, longest: int) -> SafeString:
    """Return an `img` that the browser scales and caches: a list loads each image only once. A file is only named."""
    if asset.width is None or asset.height is None:
        return format_html("{}", LABELS.get(asset.content_type, asset.content_type))
    scale = min(1, longest / max(asset.width, asset.height))
    width, height = (max(1, round(side * scale)) for side in (asset.width, asset.height))
    # Browsers do not show a HEIC.
    query = "?copy=sent" if asset.clean_content_type else ""
    return format_html(
        '<img src="{}{}" width="{}" height="{}" loading="lazy" alt="">',
        reverse("media-content", args=[asset.pk]),
        query,
        width,
        height,
    )
