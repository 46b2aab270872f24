"""Addresses of providers, looked at before they are kept: what a caller's calls do not reach is told at once.

Only the spelling is looked at. A host name is looked up where it is connected to, in the worker.
"""

from __future__ import annotations

from gateway.auth import Caller
from gateway.state import GatewayState
from shared.errors import OutboundAddressError
from shared.schemas.connection import ADDRESS_FIELD
from shared.schemas.controls import ProviderType
from shared.schemas.provider_settings import LOCAL_MODEL_URL, ProviderSettings
from shared.security.outbound import resolve_target


def check_address(
    state: GatewayState, caller: Caller, provider: ProviderType, settings: ProviderSettings, field: str
) -> None:
    """Check the provider's address in ``settings``, which the request has in ``field``.

    Raises:
        OutboundAddressError: the caller's calls do not go there.
    """
    name = ADDRESS_FIELD[provider]
    address = getattr(settings, name)
    if address == LOCAL_MODEL_URL:
        return
    try:
        resolve_target(address, state.settings, of_admin=caller.of_admin)
    except OutboundAddressError as error:
        errors = [{"field": f"{field}.{name}", "message": "is an address that is not connected to"}]
        raise OutboundAddressError(error.detail, errors=errors) from None
