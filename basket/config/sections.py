"""What a configuration holds, as frozen dataclasses with their defaults.

Two of them are equal where they say the same, which is how the agent finds out what a new version of the file changed.
Nothing here reads or checks. Secrets are left out of every repr.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple

from basket.addresses import redacted

if TYPE_CHECKING:
    from basket.functions import Function


@dataclass(frozen=True)
class PeelSection:
    """``id`` is None where it is made from the host name. ``state``: the directory for the pinned id."""

    id: Optional[str] = None
    state: str = "/var/lib/zester"


@dataclass(frozen=True)
class TlsSection:
    """Paths of PEM files. ``first``: TLS before the server says a word, as ``handshake_first`` on its side demands."""

    ca: Optional[str] = None
    cert: Optional[str] = None
    key: Optional[str] = None
    first: bool = False


@dataclass(frozen=True)
class NatsSection:
    """How to reach NATS. ``timeout`` in seconds.

    ``credentials`` and ``nkey_seed`` are paths. ``password`` and ``token`` are the secrets themselves, wherever they came
    from; ``password_file`` and ``token_file`` say which file that was, if it was one.
    """

    url: Tuple[str, ...] = ("nats://127.0.0.1:4222",)
    user: Optional[str] = None
    password: Optional[str] = field(default=None, repr=False)
    token: Optional[str] = field(default=None, repr=False)
    credentials: Optional[str] = None
    nkey_seed: Optional[str] = None
    tls: TlsSection = TlsSection()
    timeout: float = 5.0
    password_file: Optional[str] = None
    token_file: Optional[str] = None

    def __repr__(self) -> str:
        known = [f"url={tuple(map(redacted, self.url))!r}"]
        for name in ("user", "password", "token", "credentials", "nkey_seed"):
            value = getattr(self, name)
            if value is not None:
                known.append(f"{name}='***'" if name in ("password", "token") else f"{name}={value!r}")
        return f"NatsSection({', '.join(known)}, tls={self.tls!r}, timeout={self.timeout!r})"


@dataclass(frozen=True)
class Scheduled:
    """One function that the agent publishes: every ``interval`` seconds, given up after ``timeout`` seconds."""

    function: Function
    interval: float
    timeout: float


@dataclass(frozen=True)
class BasketSection:
    """What is published and asked for. ``interval`` and ``timeout``, in seconds, hold for functions that name none."""

    scope: str = ""
    interval: float = 300.0
    timeout: float = 30.0
    replicas: int = 1
    functions: Tuple[Scheduled, ...] = ()
    expect: Mapping[str, Any] = field(default_factory=dict)


class _Facts(Dict[str, Any]):
    """Facts, equal where they read alike to others: ``1 == 1.0 == True`` to Python, and a nan is not even equal to itself."""

    def __eq__(self, other: object) -> bool:
        return _exact(self) == _exact(other)

    def __ne__(self, other: object) -> bool:  # dict brings its own
        return not self == other


def _exact(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _exact(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_exact(inner) for inner in value]
    return repr(value)


@dataclass(frozen=True)
class FactsSection:
    """``custom`` is merged into the facts at the root. ``interval`` in seconds."""

    publish: bool = True
    interval: float = 600.0
    custom: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Whoever looks for what changed compares these, one by one or as a whole.
        object.__setattr__(self, "custom", _Facts(self.custom))


@dataclass(frozen=True)
class AgentSection:
    """``resolver``: answer target resolution requests of others. ``heartbeat`` in seconds, 0 is off. ``listen``: host and port
    for health and metrics over HTTP, None for nowhere; on other addresses than loopback only with ``listen_anywhere``."""

    resolver: bool = False
    heartbeat: float = 10.0
    listen: Optional[Tuple[str, int]] = None
    listen_anywhere: bool = False


@dataclass(frozen=True)
class TemplateSection:
    """One file to keep current. ``wait``: quiet time, and the most to wait for it, in seconds. Commands are argv lists, each
    given up after ``timeout`` seconds. ``mode``, ``owner`` and ``group``: None for those of the old file. ``backup``: keep
    the version before the last."""

    source: str
    destination: str
    check: Tuple[str, ...] = ()
    reload: Tuple[str, ...] = ()
    wait: Tuple[float, float] = (1.0, 10.0)
    timeout: float = 30.0
    mode: Optional[int] = None
    owner: Optional[str] = None
    group: Optional[str] = None
    backup: bool = False


@dataclass(frozen=True)
class Config:
    """The whole of it. ``file`` is the absolute path it was read from, None where there was none."""

    file: Optional[str] = None
    peel: PeelSection = PeelSection()
    nats: NatsSection = NatsSection()
    basket: BasketSection = field(default_factory=BasketSection)
    facts: FactsSection = field(default_factory=FactsSection)
    nodegroups: Mapping[str, str] = field(default_factory=dict)
    agent: AgentSection = AgentSection()
    templates: Tuple[TemplateSection, ...] = ()

    @property
    def watched(self) -> Tuple[str, ...]:
        """The files whose content stands in this object: when one of them changes, it is out of date."""
        files = (self.file, self.nats.password_file, self.nats.token_file)
        return tuple(path for path in files if path is not None)
