"""What it takes to reach NATS: addresses and credentials, as one immutable value. No I/O but reading secret files."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Optional, Tuple

from basket.errors import ConfigError

if TYPE_CHECKING:
    import ssl

DEFAULT_URL = "nats://127.0.0.1:4222"


@dataclass(frozen=True)
class Settings:
    """Where the servers are and who we are to them. Secrets stay out of ``repr``. Durations are seconds."""

    urls: Tuple[str, ...] = field(default=(DEFAULT_URL,), repr=False)  # a URL may hold user:password@
    name: str = "zester-basket"
    inbox: str = "_INBOX"
    """Prefix of the subjects on which replies come back: private to a peel, so that none reads another's."""
    user: Optional[str] = None
    password: Optional[str] = field(default=None, repr=False)
    token: Optional[str] = field(default=None, repr=False)
    password_file: Optional[str] = None
    token_file: Optional[str] = None
    """Where these came from, if from a file: what stands there by then counts for each new connection."""
    credentials: Optional[str] = None
    nkey_seed: Optional[str] = None
    tls_ca: Optional[str] = None
    tls_cert: Optional[str] = None
    tls_key: Optional[str] = None
    tls_first: bool = False
    ping_interval: float = 30.0

    def secrets(self) -> Tuple[Optional[str], Optional[str]]:
        """Password and token as they are now: somebody may have changed them where they are kept."""
        return _in_file(self.password_file) or self.password, _in_file(self.token_file) or self.token

    def check_credentials(self) -> None:
        """ConfigError where the credentials file cannot be read or is none: nats-py looks at it only where the server asks
        who is calling, and would connect as nobody otherwise."""
        if self.credentials is None:
            return
        try:
            with open(self.credentials, encoding="utf-8") as file:
                text = file.read(1 << 20)
        except OSError as error:
            raise ConfigError(f"cannot read {self.credentials}: {error.strerror}") from error
        except ValueError as error:
            raise ConfigError(f"{self.credentials} is no credentials file: not text") from error
        if "BEGIN NATS USER JWT" not in text or "BEGIN USER NKEY SEED" not in text:
            raise ConfigError(f"{self.credentials} is no credentials file: it holds no user JWT with its seed")

    def tls_context(self) -> Optional[ssl.SSLContext]:
        """A context that verifies the server, or None where TLS was not asked for. Reads the files named."""
        wanted = self.tls_ca or self.tls_cert or self.tls_first or any(u.startswith(("tls:", "wss:")) for u in self.urls)
        if not wanted:
            return None
        import ssl

        try:
            context = ssl.create_default_context(cafile=self.tls_ca)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.tls_cert:
                context.load_cert_chain(self.tls_cert, self.tls_key)
        except (OSError, ValueError) as error:
            named = ", ".join(p for p in (self.tls_ca, self.tls_cert, self.tls_key) if p)
            raise ConfigError(f"tls: cannot load {named}: {error}") from error
        return context


def _in_file(path: Optional[str]) -> Optional[str]:
    """The one line in the file; None where there is no such thing at the moment, as while it is being replaced."""
    if path is None:
        return None
    try:
        with open(path, encoding="utf-8", newline="") as file:
            text = file.read(65536)
    except (OSError, ValueError):
        return None
    text = text[:-1] if text.endswith("\n") else text
    text = text[:-1] if text.endswith("\r") else text
    return None if "\n" in text else text
