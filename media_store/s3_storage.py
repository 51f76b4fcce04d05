"""An S3-compatible bucket as the media storage. A module of its own, because importing boto3 takes time and memory."""

from typing import Any

from boto3.s3.transfer import TransferConfig
from storages.backends.s3 import S3Storage


class S3MediaStorage(S3Storage):
    """A PUT is atomic, and a name identifies one content, so overwriting changes nothing."""

    def get_default_settings(self) -> dict[str, Any]:
        return {**super().get_default_settings(), "transfer_config": TransferConfig(use_threads=False)}
