"""Where a call to a provider may go: every outbound connection takes its address from here."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

from shared.errors import OutboundAddressError
from shared.schemas.provider_settings import LOCAL_MODEL_URL, http_url
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class OutboundTarget:
    """An address that Parley connects to. Only :func:`resolve_target` makes one.

    Attributes:
        url: base URL, ``http`` or ``https``, without a trailing slash.
        key: the key that belongs to the address, when it is the model of this machine.
    """

    url: str
    key: SecretStr | None = None

    @property
    def host(self) -> str:
        """Host and port, as they must not appear in a message to a client."""
        return urlsplit(self.url).netloc


def resolve_target(url: str, settings: Settings) -> OutboundTarget:
    """The address behind ``url``: itself, or that of the model which runs on this machine.

    Raises:
        OutboundAddressError: ``url`` is no HTTP address, or stands for a local model that is not running.
    """
    if url == LOCAL_MODEL_URL:
        if not settings.local_model_url:
            raise OutboundAddressError(
                "no local model runs here; start it (parley up without --no-local-model), set "
                "PARLEY_LOCAL_MODEL_URL, or choose another connection"
            )
        return OutboundTarget(_checked(settings.local_model_url), settings.local_model_key)
    return OutboundTarget(_checked(url))


def _checked(url: str) -> str:
    if any(character.isspace() or ord(character) < 32 for character in url):
        raise OutboundAddressError("the provider's address holds a space or a control character")
    try:
        return http_url(url)
    except ValueError as error:
        raise OutboundAddressError(f"the provider's address {error}") from error
