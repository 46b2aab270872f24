"""Files for connections under TLS. The other side is always verified."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class TlsFiles:
    """What a client needs to trust a server, and to be trusted by it.

    Attributes:
        authority: certificates of those who may vouch for the server (PEM); default: the system's.
        certificate: the client's own, for a server that asks for one (PEM).
        key: that of ``certificate`` (PEM).
    """

    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __bool__(self) -> bool:
        return any((self.authority, self.certificate, self.key))

    def check(self, prefix: str) -> None:
        """Say what is wrong with the files that ``<prefix>_CA``, ``_CERT`` and ``_KEY`` name.

        Raises:
            ValueError: one cannot be read, or a certificate comes without its key or the other way round.
        """
        for name, path in (("CA", self.authority), ("CERT", self.certificate), ("KEY", self.key)):
            if path is not None:
                try:
                    path.open("rb").close()
                except OSError as error:
                    raise ValueError(f"{prefix}_{name}: {path} cannot be read ({error.strerror})") from error
        if (self.certificate is None) != (self.key is None):
            missing = "KEY" if self.key is None else "CERT"
            raise ValueError(f"{prefix}_{missing} is missing: a client's certificate and its key go together")
