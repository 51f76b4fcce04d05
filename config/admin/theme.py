"""Callbacks for unfold's settings: icon, styles and scripts."""

from django.http import HttpRequest
from django.templatetags.static import static


def icon(request: HttpRequest) -> str:
    return static("console/icon.svg")


def style(request: HttpRequest) -> str:
    return static("console/console.css")


def script(request: HttpRequest) -> str:
    return static("console/console.js")


def no_inline_colors(request: HttpRequest) -> dict[str, dict[str, str]]:
    """The palette is in console.css: unfold would add inline styles, which the Content-Security-Policy blocks."""
    return {}
