"""The `config` of a `twilio` account."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from providers.contract.config_types import EnvOrText, HttpUrl, Secret, mapping_without_ambiguity
from providers.contract.sender import CommonConfig

Sid = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{2,64}$"), EnvOrText]
KeyId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{2,64}$")]
# Twilio's connection overrides, the fragment of a callback address: https://www.twilio.com/docs/usage/webhooks.
_OVERRIDE = r"(ct|rt|tt|rc|rp|sni|e)=[a-z0-9,-]+"
Overrides = Annotated[str, StringConstraints(max_length=200, pattern=rf"^{_OVERRIDE}(&{_OVERRIDE})*$")]


class TwilioConfig(CommonConfig):
    account_sid: Sid
    auth_token: Secret
    messaging_service_sid: Sid | None = None
    shared_keys: Annotated[Mapping[KeyId, Secret], BeforeValidator(mapping_without_ambiguity)] = Field(
        default_factory=dict
    )
    callback_overrides: Overrides | None = None
    api_base_url: HttpUrl | None = None

    @model_validator(mode="after")
    def _has_a_sender(self) -> Self:
        if self.messaging_service_sid is None and self.from_number is None:
            raise ValueError("from_number or messaging_service_sid is needed")
        return self
