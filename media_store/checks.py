"""System checks of the media settings, which otherwise fail only at an upload."""

from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 (Django's name for the level)
from PIL import Image

from media_store.content_types import FILE_GROUPS


@register()
def check_storage(app_configs: Any, **_: Any) -> list[CheckMessage]:
    entry = settings.STORAGES["media"]
    if "reason" not in entry.get("OPTIONS", {}):
        return []
    hint = "Correct it, or unset it to keep the files in LOCAL_DIR."
    return [Error(entry["OPTIONS"]["reason"], hint=hint, id="media_store.E001")]


@register()
def check_limits(app_configs: Any, **_: Any) -> list[CheckMessage]:
    names = ("MEDIA_MAX_BYTES", "MEDIA_MAX_PIXELS", "MEDIA_MAX_FRAMES")
    found: list[CheckMessage] = [
        Error(f"{name} must be greater than zero.", hint=f"Unset {name} for its default.", id="media_store.E002")
        for name in names
        if getattr(settings, name) <= 0
    ]
    decodable = Image.MAX_IMAGE_PIXELS
    if decodable is not None and decodable < settings.MEDIA_MAX_PIXELS:
        hint = f"Set it to at most {decodable:,}."
        found.append(Error("MEDIA_MAX_PIXELS is more than Pillow decodes.", hint=hint, id="media_store.E003"))
    return found


@register()
def check_file_types(app_configs: Any, **_: Any) -> list[CheckMessage]:
    unknown = [name for name in settings.INBOUND_FILE_TYPES if name not in FILE_GROUPS]
    if not unknown:
        return []
    hint = f"It is a list of {', '.join(FILE_GROUPS)}; images are always taken."
    return [Error(f"INBOUND_FILE_TYPES has unknown names: {', '.join(unknown)}.", hint=hint, id="media_store.E004")]


@register(deploy=True)
def check_transport(app_configs: Any, **_: Any) -> list[CheckMessage]:
    endpoint = settings.STORAGES["media"].get("OPTIONS", {}).get("endpoint_url", "")
    if urlsplit(endpoint).scheme != "http":
        return []
    hint = "Use s3:// unless the storage is in a network of your own."
    return [Warning("Images travel to the storage in the clear.", hint=hint, id="media_store.W001")]
