"""The limits of MMS, by provider: the table, and its exceptions in an account's `media_limits`.

A limit is what the provider's documentation says, less some room for the text and the headers that count too. Where a provider
passes media on as they are, it is what the carriers take that its documentation names.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from providers.contract.media_limits import NO_LIMITS, MediaLimits
from providers.contract.sender import CommonConfig

_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif"})
# What comes in may be sent on; both vendors' pages list these for MMS.
_OTHER_FILES = frozenset({"text/vcard", "video/mp4", "video/3gpp"})

# "the combined size of the message and its media must stay below" 5 MB; jpeg, png and gif, and no WebP, in an MMS. Twilio makes
# images as small as the recipient's carrier wants them: https://www.twilio.com/docs/messaging/guides/accepted-mime-types
TWILIO = MediaLimits(
    message_bytes=4_950_000,
    content_types=_IMAGES
    | _OTHER_FILES
    | {"audio/amr", "audio/mp4", "audio/mpeg", "audio/ogg", "video/quicktime", "video/webm", "application/pdf"},
)
# "The safe maximum across all carriers and sender types is 600 KB"; larger ones are rejected by the carrier:
# https://developers.telnyx.com/docs/messaging/messages/mms-transcoding. The types are those of
# https://support.telnyx.com/en/articles/4450150-faqs-about-mms-at-telnyx, "What are the supported file types".
TELNYX = MediaLimits(message_bytes=590_000, content_types=_IMAGES | _OTHER_FILES)
# httpSMS documents no limit: it is that of the phone's carrier. "all operators will reliably handle messages of up to 300 KB":
# https://www.infobip.com/docs/mms/message-types. Android's own table of carriers begins there too (maxMessageSize 307200).
HTTPSMS = MediaLimits(message_bytes=290_000, content_types=_IMAGES | _OTHER_FILES)

_BY_HOST: Mapping[str, MediaLimits] = {"api.telnyx.com": TELNYX, "api.httpsms.com": HTTPSMS}


def of_address(url: str) -> MediaLimits:
    """The limits of the provider at this address. Nothing is known of most: an account says in `media_limits` what it takes."""
    return _BY_HOST.get(urlsplit(url).hostname or "", NO_LIMITS)


def of_account(config: CommonConfig, provider: MediaLimits) -> MediaLimits:
    return config.media_limits.over(provider) if config.media_limits is not None else provider
