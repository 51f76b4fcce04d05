"""Reads and changes the folder of the storage."""

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path


@dataclass(frozen=True)
class Folder:
    location: Path
    temporary: Path

    def names(self) -> list[str]:
        """Names of the stored files, including temporary ones."""
        return [str(path.relative_to(self.location)) for path in self._files(self.location)]

    def is_untouched(self) -> bool:
        return not self.names() and not self._files(self.temporary)

    def read(self, name: str) -> bytes:
        return (self.location / name).read_bytes()

    def write(self, name: str, content: bytes, *, at: datetime) -> None:
        path = self.location / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.age(name, at)

    def age(self, name: str, at: datetime) -> None:
        os.utime(self.location / name, (at.timestamp(), at.timestamp()))

    @staticmethod
    def _files(folder: Path) -> list[Path]:
        return sorted(path for path in folder.rglob("*") if path.is_file())
