"""The media types of stored files. A file's content decides which one it is, never its name or a header."""

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
