"""From a provider's type to its service."""

from __future__ import annotations

from shared.errors import UnsupportedProviderError
from shared.schemas.controls import ProviderType
from workers.providers.base.http_client import ProviderHttpClient
from workers.providers.base.provider_service import BaseProviderService
from workers.providers.ollama.service import OllamaService
from workers.providers.openai.service import OpenAIService

_SERVICES: dict[ProviderType, type[OllamaService] | type[OpenAIService]] = {
    ProviderType.OLLAMA: OllamaService,
    ProviderType.OPENAI: OpenAIService,
}


class ProviderFactory:
    """Makes the service of a provider."""

    @staticmethod
    def create_provider(
        provider_type: ProviderType | str, client: ProviderHttpClient, *, of_admin: bool = False
    ) -> BaseProviderService:
        """The service for ``provider_type``, which calls through ``client``.

        Args:
            provider_type: its name.
            client: what it calls through.
            of_admin: whether it calls for an administrator, whose calls may go further
                (``outbound_private``).

        Raises:
            UnsupportedProviderError: there is no such type.
        """
        try:
            kind = ProviderType(provider_type)
        except ValueError:
            known = ", ".join(ProviderType)
            raise UnsupportedProviderError(
                f"there is no provider {str(provider_type)[:100]!r}; known are {known}",
                errors=[{"field": "provider", "message": f"must be one of {known}"}],
            ) from None
        return _SERVICES[kind](client, of_admin=of_admin)
