"""Texts of the API documentation about images; see `messaging.api.operation_texts`."""

MEDIA_TEXTS: dict[str, tuple[str, str]] = {
    "media_list": (
        "List images",
        """
        Returns the images that you have uploaded, and the images and other files that came in with your messages, newest
        first. Staff users see all.
        """,
    ),
    "media_create": (
        "Upload an image",
        """
        Takes a JPEG, PNG, GIF, WebP, HEIC or AVIF image in the multipart field `file`. Pass its `id` in `media` of a
        message. The format is detected from the content; file name and media type are ignored. Returns 201, or 200 with
        the stored image if the same bytes were uploaded before.

        The original is kept as it came. The copy that goes out has no metadata and nothing behind the end of the image,
        and a HEIC or AVIF goes out as JPEG.

        Error codes: 413 `file_too_large`, 415 `not_an_image`, and in a 400 `too_many_pixels`, `too_many_frames`,
        `truncated`, `damaged` or `foreign_data`. `detail` says for a person what is wrong and what helps.
        """,
    ),
    "media_retrieve": (
        "Read an image's data",
        """
        Returns format, size and SHA-256 of an image as it was uploaded, and its dimensions in pixels: those of the copy
        that goes out, before an orientation in its EXIF is applied. `url` is the address of the image itself. A file that is
        not an image (a contact, audio, video or PDF that came in) has no `width` and `height`.
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
        Returns the image itself. With a token you get the bytes as they were uploaded, or with `copy=sent` those that go
        out. With the `expires` and `signature` of a signed address no token is needed, and you get what goes out:
        without metadata such as position and camera, a HEIC or AVIF as JPEG; 403 if the signature is not valid or has
        expired. With `profile`, which the signature covers, you get the smaller JPEG that was made for a provider with
        limits. The response can be cached: it never changes.

        A file that is not an image is served as an attachment, as it came. It is from a stranger and has not been scanned.
        """,
    ),
}
