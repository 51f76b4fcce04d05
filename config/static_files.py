"""Static files by WhiteNoise, which finds them in the packages until `collectstatic` has copied them."""

from pathlib import Path

from whitenoise.middleware import WhiteNoiseMiddleware


class StaticFilesMiddleware(WhiteNoiseMiddleware):
    def add_files(self, root: str | Path, prefix: str | None = None) -> None:
        """Skip a missing folder, without WhiteNoise's warning."""
        if Path(root).is_dir():
            super().add_files(root, prefix=prefix)
