"""Static files by WhiteNoise, which are found in the packages until `collectstatic` has copied them."""

from pathlib import Path

from whitenoise.middleware import WhiteNoiseMiddleware


class StaticFilesMiddleware(WhiteNoiseMiddleware):
    def add_files(self, root: str | Path, prefix: str | None = None) -> None:
        """Without WhiteNoise's warning about a folder that is not there yet."""
        if Path(root).is_dir():
            super().add_files(root, prefix=prefix)
