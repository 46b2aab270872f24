"""What every provider can do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from typing import Any

import pydantic

from shared.errors import ParleyError, ProviderRequestError, ValidationError
from shared.schemas.controls import ProviderType, check_controls
from shared.schemas.provider_settings import ProviderSettings
from workers.providers.base.models import (
    ChatRequest,
    ChatResponse,
    ConnectionReport,
    ModelInfo,
    PullProgress,
    StreamingChunk,
)
from workers.providers.base.timeouts import CallTimeouts


class BaseProviderService(ABC):
    """A provider of language models. It keeps nothing of a call: one instance serves any number at once.

    Every method that speaks to the provider raises a :class:`shared.errors.ProviderError`,
    :class:`shared.errors.ModelNotFoundError` or :class:`shared.errors.OutboundAddressError` when that fails;
    none of their messages holds a key or an address.
    """

    provider_type: ProviderType
    settings_type: type[pydantic.BaseModel]

    @abstractmethod
    async def send_message(self, request: ChatRequest) -> ChatResponse:
        """The whole answer at once.

        Raises:
            UnsupportedControlError: a control of the request has no form here.
        """

    @abstractmethod
    def send_message_stream(self, request: ChatRequest) -> AsyncGenerator[StreamingChunk, None]:
        """The answer while it comes; the last chunk has ``done``.

        An error ends the generator; what came before it was yielded. Cancelling the task that waits for
        the next chunk closes the provider's socket at once. Who stops in between closes the generator
        (``async with contextlib.aclosing(…)``), else the socket stays open until it is collected.

        Raises:
            UnsupportedControlError: a control of the request has no form here.
        """

    @abstractmethod
    def build_request(self, request: ChatRequest, *, stream: bool = True) -> dict[str, Any]:
        """The body that goes to the provider; it holds no secret.

        Raises:
            UnsupportedControlError: a control of the request has no form here.
        """

    @abstractmethod
    async def list_models(self, settings: ProviderSettings, timeouts: CallTimeouts) -> list[ModelInfo]:
        """The models that the provider offers."""

    @abstractmethod
    async def test_connection(self, settings: ProviderSettings, timeouts: CallTimeouts) -> ConnectionReport:
        """Whether the provider can be reached, takes the key, and has the model of the settings.

        Raises:
            ModelNotFoundError: it lists its models and that one is not among them.
        """

    async def show_model(self, settings: ProviderSettings, model: str, timeouts: CallTimeouts) -> ModelInfo:
        """What the provider knows of one model.

        Raises:
            ProviderRequestError: this provider does not describe models.
        """
        raise self._lacks("describe a model")

    async def running_models(self, settings: ProviderSettings, timeouts: CallTimeouts) -> list[ModelInfo]:
        """The models that the provider holds in memory.

        Raises:
            ProviderRequestError: this provider does not tell.
        """
        raise self._lacks("tell which models run")

    def pull_model(
        self, settings: ProviderSettings, model: str, timeouts: CallTimeouts
    ) -> AsyncGenerator[PullProgress, None]:
        """Have the provider fetch a model; the last step has ``done``.

        Raises:
            ProviderRequestError: this provider does not fetch models.
        """
        raise self._lacks("fetch a model")

    def validate_settings(self, settings: Mapping[str, Any] | pydantic.BaseModel) -> bool:
        """``True`` when ``settings`` reach a provider of this type.

        Raises:
            ValidationError: names each field that is wrong.
        """
        self.parse_settings(settings)
        return True

    def parse_settings(self, settings: Mapping[str, Any] | pydantic.BaseModel) -> ProviderSettings:
        """``settings`` as the type of this provider.

        Raises:
            ValidationError: names each field that is wrong.
        """
        if isinstance(settings, self.settings_type):
            return settings  # type: ignore[return-value]
        if isinstance(settings, pydantic.BaseModel):
            raise ValidationError(
                f"these are not settings of the provider {self.provider_type}",
                errors=[{"field": "provider_settings", "message": f"must be those of {self.provider_type}"}],
            )
        try:
            return self.settings_type.model_validate(dict(settings))  # type: ignore[return-value]
        except pydantic.ValidationError as error:
            faults = [
                {
                    "field": ".".join(["provider_settings", *(str(part) for part in fault["loc"])]),
                    "message": fault["msg"].removeprefix("Value error, "),
                }
                for fault in error.errors(include_url=False, include_input=False, include_context=False)
            ]
            first = faults[0]
            raise ValidationError(f"{first['field']}: {first['message']}", errors=faults) from None

    def check_controls(self, request: ChatRequest) -> None:
        """Refuse a control that has no form here, as the gateway did before."""
        check_controls(self.provider_type, request.settings, request.controls)

    def _lacks(self, ability: str) -> ParleyError:
        return ProviderRequestError(f"the provider {self.provider_type} cannot {ability}")
