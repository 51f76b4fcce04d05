"""Texts of the API documentation about images; see `messaging.api.operation_texts`."""

MEDIA_TEXTS: dict[str, tuple[str, str]] = {
    "media_list": (
        "List images",
        """
        Returns the images that you have uploaded, newest first. Staff users see all.
        """,
    ),
    "media_create": (
        "Upload an image",
        """
        Takes a JPEG, PNG, GIF or WebP image in the multipart field `file`. Pass its `id` in `media` of a message. The
        format is detected from the content; file name and media type are ignored. Returns 201, or 200 with the stored
        image if the same bytes were uploaded before.

        Error codes: 413 `file_too_large`, 415 `not_an_image`, and in a 400 `too_many_pixels`, `too_many_frames`,
        `truncated`, `damaged` or `foreign_data`.
        """,
    ),
    "media_retrieve": (
        "Read an image's data",
        """
        Returns format, size, dimensions and SHA-256 of an image. `url` is the address of the image itself.
        """,
    ),
    "media_destroy": (
        "Delete an image",
        """
        Removes an image from your media. The file is deleted once no user has it. Staff users delete it for all. While
        a message has the image, the response is 409 `asset_in_use`.
        """,
    ),
    "media_content": (
        "Download an image",
        """
        Returns the image itself. With a token you get the bytes as they were uploaded. With the `expires` and
        `signature` of a signed address no token is needed, and metadata such as position and camera is removed; 403 if
        the signature is not valid or has expired. With `profile`, which the signature covers, you get the smaller JPEG
        that was made for a provider with limits. The response can be cached: it never changes.
        """,
    ),
}
