"""The use cases of images. Other apps import from here."""

from media_store.services.access import grant, sees_all, visible_to
from media_store.services.links import read_expiry, signed_url
from media_store.services.removal import delete, sweep
from media_store.services.renditions import make as make_rendition
from media_store.services.renditions import profiles_of
from media_store.services.storing import Stored, chunks_of, store

__all__ = [
    "Stored",
    "chunks_of",
    "delete",
    "grant",
    "make_rendition",
    "profiles_of",
    "read_expiry",
    "sees_all",
    "signed_url",
    "store",
    "sweep",
    "visible_to",
]
