"""Where a call to a provider may go: every outbound connection takes its address from here.

A connection is somebody's choice of an address that this server then calls: without a guard it reaches what
only the server can reach. The spelling of the address is looked at here; what its host resolves to is looked
at where the socket is opened (:mod:`workers.providers.base.connector`), by the same :class:`OutboundRules`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from pydantic import SecretStr

from shared.errors import OutboundAddressError
from shared.schemas.provider_settings import LOCAL_MODEL_URL, http_url
from shared.security.addresses import Address, Allowed, Place, place_of, place_of_host, spelled_address
from shared.settings import Settings

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class OutboundTarget:
    """An address that Parley connects to. Only :func:`resolve_target` makes one.

    Attributes:
        url: base URL, ``http`` or ``https``, without a trailing slash.
        key: the key that belongs to the address, when it is the model of this machine.
        private: whether its host may lead into a private network.
    """

    url: str
    key: SecretStr | None = None
    private: bool = False

    @property
    def host(self) -> str:
        """Host and port, as they must not appear in a message to a client."""
        return urlsplit(self.url).netloc


@dataclass(frozen=True, slots=True)
class OutboundRules:
    """Which addresses a call may go to.

    Attributes:
        private: whether private networks are among them. Metadata is only where it is listed.
        allowed: what the operator lists.
    """

    private: bool
    allowed: tuple[Allowed, ...]

    @classmethod
    def of(cls, settings: Settings, *, private: bool) -> OutboundRules:
        """The rules for calls that may (or may not) go to private networks."""
        return cls(private, _allowed(settings.outbound_allow))

    def lists(self, host: str, port: int) -> bool:
        """Whether the operator lists this host by its name: it may lead anywhere."""
        return any(entry.names(host, port) for entry in self.allowed)

    def let(self, address: Address, port: int) -> bool:
        """Whether a socket may be connected to ``address``."""
        return self._reach(place_of(address)) or any(entry.covers(address, port) for entry in self.allowed)

    def let_host(self, host: str, port: int) -> bool:
        """Whether nothing in the spelling of ``host`` forbids it."""
        address = spelled_address(host)
        if address is not None:
            return self.let(address, port)
        return self._reach(place_of_host(host)) or self.lists(host, port)

    def _reach(self, place: Place) -> bool:
        return place is Place.OPEN or (self.private and place is Place.PRIVATE)


def may_reach_private(settings: Settings, *, of_admin: bool) -> bool:
    """Whether the connections of an administrator (or of another user) may lead into private networks."""
    return settings.outbound_private == "allow" or (settings.outbound_private == "admin" and of_admin)


def resolve_target(url: str, settings: Settings, *, of_admin: bool = False) -> OutboundTarget:
    """The address behind ``url``: itself, or that of the model which runs on this machine.

    Args:
        url: of a connection or of a request's own provider settings.
        settings: the settings.
        of_admin: whether they are an administrator's.

    Raises:
        OutboundAddressError: ``url`` is no HTTP address, stands for a local model that is not running, or
            names an address that this user's calls do not go to. What a host's name resolves to is not
            looked up.
    """
    if url == LOCAL_MODEL_URL:
        if not settings.local_model_url:
            raise OutboundAddressError(
                "no local model runs here; start it (parley up without --no-local-model), set "
                "PARLEY_LOCAL_MODEL_URL, or choose another connection"
            )
        # The operator's own choice of an address.
        return OutboundTarget(_checked(settings.local_model_url), settings.local_model_key, private=True)
    checked = _checked(url)
    parts = urlsplit(checked)
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    spelled = spelled_address(host)
    if spelled is not None and spelled.version == 4 and str(spelled) != host:
        raise OutboundAddressError(
            "the provider's address spells an IPv4 address in an unusual form: write four decimal numbers"
        )
    private = may_reach_private(settings, of_admin=of_admin)
    if not OutboundRules.of(settings, private=private).let_host(host, port):
        raise refused(settings, private=private)
    return OutboundTarget(checked, private=private)


def refused(settings: Settings, *, private: bool) -> OutboundAddressError:
    """The error for an address that is not connected to; it does not tell what a name resolved to.

    Args:
        settings: the settings.
        private: whether private networks were open to the call.
    """
    remedy = "the operator can list its host in PARLEY_OUTBOUND_ALLOW"
    if not private:
        remedy += " or set PARLEY_OUTBOUND_PRIVATE=allow"
        if settings.outbound_private == "admin":
            remedy = f"an administrator can make the connection, or {remedy}"
    return OutboundAddressError(
        "the provider's address is not on the open network, and connections like this one do not go there: "
        + remedy
    )


@lru_cache(maxsize=8)
def _allowed(entries: tuple[str, ...]) -> tuple[Allowed, ...]:
    return tuple(Allowed.parse(entry) for entry in entries)


def _checked(url: str) -> str:
    if any(character.isspace() or ord(character) < 32 for character in url):
        raise OutboundAddressError("the provider's address holds a space or a control character")
    try:
        return http_url(url)
    except ValueError as error:
        raise OutboundAddressError(f"the provider's address {error}") from error
