"""Images in API responses."""

from rest_framework import serializers
from rest_framework.reverse import reverse

from media_store.models import MediaAsset


class MediaAssetSerializer(serializers.ModelSerializer[MediaAsset]):
    """Needs the request in its context, because `url` is absolute."""

    url = serializers.SerializerMethodField()

    class Meta:
        model = MediaAsset
        fields = ["id", "sha256", "content_type", "size", "width", "height", "url", "created_at"]
        read_only_fields = fields

    def get_url(self, asset: MediaAsset) -> str:
        return reverse("media-content", args=[asset.pk], request=self.context["request"])
