"""Refusals of the media store. They know nothing of HTTP; `config.problems` maps them to responses."""

from typing import ClassVar


class MediaError(Exception):
    """`code` is stable and for programs; the text is for readers."""

    code: ClassVar[str] = "refused"

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class NotAnImage(MediaError):
    """The content is in none of the accepted formats. File name and media type are ignored.

    `found` says what the file is instead, such as "a PDF document".
    """

    code = "not_an_image"

    def __init__(self, found: str = "") -> None:
        what = (
            f"This is {found}, not a picture that can be sent." if found else "This is not a picture that can be sent."
        )
        super().__init__(f"{what} JPEG, PNG, GIF, WebP, HEIC and AVIF are accepted.")


class FileNotAccepted(MediaError):
    """A file that is no image, and of a type that the caller does not take."""

    code = "file_not_accepted"

    def __init__(self, content_type: str) -> None:
        super().__init__(f"Files of the type {content_type} are not accepted here.")


class FileTooLarge(MediaError):
    code = "file_too_large"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The file is larger than {limit:,} bytes, which is the most that is accepted.")


class BadImage(MediaError):
    """An image by its first bytes, but damaged or over a limit. Names the field, as every 400 does."""

    code = "invalid"
    field: ClassVar[str] = "file"

    def __init__(self, field_code: str, detail: str) -> None:
        super().__init__(detail)
        self.field_code = field_code


class AssetInUse(MediaError):
    code = "asset_in_use"

    def __init__(self) -> None:
        super().__init__("The image belongs to a message and cannot be deleted.")


class CannotScale(MediaError):
    """No copy of the image fits the limits, or none can be made with the memory that is allowed."""

    code = "cannot_scale"


class DecoderBusy(MediaError):
    """Another image is being decoded in this process, which holds one in memory at a time."""

    code = "decoder_busy"

    def __init__(self) -> None:
        super().__init__("Another image is being decoded; try again in a moment.")
