"""The media types of stored files. A file's content decides which one it is, never its name or a header."""

from collections.abc import Iterable

IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp", "image/heic", "image/avif")
# Files of other kinds are kept when they come in with a text. They cannot be uploaded, and are never shown in a browser.
FILE_TYPES = (
    "application/pdf",
    "audio/aac",
    "audio/amr",
    "audio/mp4",
    "audio/mpeg",
    "audio/ogg",
    "audio/wav",
    "text/vcard",
    "video/3gpp",
    "video/mp4",
    "video/quicktime",
    "video/webm",
)
MEDIA_TYPES = (*IMAGE_TYPES, *FILE_TYPES)

# The names that the setting INBOUND_FILE_TYPES takes.
FILE_GROUPS = {
    "vcard": ("text/vcard",),
    "audio": tuple(name for name in FILE_TYPES if name.startswith("audio/")),
    "video": tuple(name for name in FILE_TYPES if name.startswith("video/")),
    "pdf": ("application/pdf",),
}

LABELS = {
    "application/pdf": "PDF",
    "audio/aac": "Audio (AAC)",
    "audio/amr": "Audio (AMR)",
    "audio/mp4": "Audio (MPEG-4)",
    "audio/mpeg": "Audio (MP3)",
    "audio/ogg": "Audio (Ogg)",
    "audio/wav": "Audio (WAV)",
    "text/vcard": "Contact (vCard)",
    "video/3gpp": "Video (3GP)",
    "video/mp4": "Video (MPEG-4)",
    "video/quicktime": "Video (QuickTime)",
    "video/webm": "Video (WebM)",
}

EXTENSIONS = {
    "application/pdf": "pdf",
    "audio/aac": "aac",
    "audio/amr": "amr",
    "audio/mp4": "m4a",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/wav": "wav",
    "text/vcard": "vcf",
    "video/3gpp": "3gp",
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/webm": "webm",
}


def types_of(groups: Iterable[str]) -> frozenset[str]:
    """The media types of these groups of files. Unknown groups, which a system check reports, have none."""
    return frozenset(name for group in groups for name in FILE_GROUPS.get(group, ()))


def is_image(content_type: str) -> bool:
    return content_type.startswith("image/")
