"""Signed tokens in our callback URLs.

A token binds a callback to one account and names an attempt. With it a receipt can settle a message even when the provider's
response, with the provider's message id, was lost.
"""

from functools import lru_cache
from urllib.parse import urlencode

from django.core.signing import BadSignature, Signer


def _signer(slug: str, keys: tuple[str, ...]) -> Signer:
    return Signer(key=keys[0], fallback_keys=list(keys[1:]), salt=f"providers.callback:{slug}", sep=".")


def make(*, slug: str, attempt_id: str, keys: tuple[str, ...]) -> str:
    return _signer(slug, keys).sign(attempt_id)


@lru_cache(maxsize=256)
def read(token: str, *, slug: str, keys: tuple[str, ...]) -> str | None:
    """The id of the attempt in the token, "" for a token of the account only, None for an invalid token.

    Cached, because authentication, parser and view ask for the same token.
    """
    try:
        return _signer(slug, keys).unsign(token)
    except BadSignature:
        return None


def inbound_url(*, public_url: str, slug: str, keys: tuple[str, ...], has_token: bool) -> str:
    """The address for incoming messages; its token names the account only."""
    return _url_of_account(public_url, slug, "inbound", keys=keys, has_token=has_token)


def status_url(*, public_url: str, slug: str, keys: tuple[str, ...], has_token: bool) -> str:
    """The address for the receipts of all messages, which are matched by their ids; its token names the account only."""
    return _url_of_account(public_url, slug, "status", keys=keys, has_token=has_token)


def _url_of_account(public_url: str, slug: str, kind: str, *, keys: tuple[str, ...], has_token: bool) -> str:
    query = f"?{urlencode({'token': make(slug=slug, attempt_id='', keys=keys)})}" if has_token else ""
    return f"{public_url}/webhooks/{slug}/{kind}/{query}"


def callback_url(*, public_url: str, slug: str, attempt_id: str, keys: tuple[str, ...]) -> str:
    token = make(slug=slug, attempt_id=attempt_id, keys=keys)
    return f"{public_url}/webhooks/{slug}/status/?{urlencode({'token': token})}"
