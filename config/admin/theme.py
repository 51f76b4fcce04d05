"""What unfold is told about the look; the settings name these functions."""

from django.http import HttpRequest
from django.templatetags.static import static


def icon(request: HttpRequest) -> str:
    return static("console/icon.svg")


def style(request: HttpRequest) -> str:
    return static("console/console.css")


def script(request: HttpRequest) -> str:
    return static("console/console.js")


def no_inline_colors(request: HttpRequest) -> dict[str, dict[str, str]]:
    """The palette stands in console.css: unfold would write it into the page, which the policy refuses."""
    return {}
