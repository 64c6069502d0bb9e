"""zester-basket: machines share small values with each other through NATS JetStream.

The public names of this package. All but the errors are loaded at first use, so that ``import basket`` (and the command line's
``--help``) costs neither NATS nor asyncio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List

from basket.errors import (
    AuthError as AuthError,
)
from basket.errors import (
    BasketError as BasketError,
)
from basket.errors import (
    BasketTimeoutError as BasketTimeoutError,
)
from basket.errors import (
    BucketMissingError as BucketMissingError,
)
from basket.errors import (
    ClosedError as ClosedError,
)
from basket.errors import (
    CommandFailedError as CommandFailedError,
)
from basket.errors import (
    ConfigError as ConfigError,
)
from basket.errors import (
    DecodeError as DecodeError,
)
from basket.errors import (
    DestinationError as DestinationError,
)
from basket.errors import (
    EncodeError as EncodeError,
)
from basket.errors import (
    FunctionError as FunctionError,
)
from basket.errors import (
    InvalidKeyError as InvalidKeyError,
)
from basket.errors import (
    JetStreamError as JetStreamError,
)
from basket.errors import (
    MissingError as MissingError,
)
from basket.errors import (
    OutcomeUnknownError as OutcomeUnknownError,
)
from basket.errors import (
    PermissionDeniedError as PermissionDeniedError,
)
from basket.errors import (
    PublishError as PublishError,
)
from basket.errors import (
    RefusedValuesError as RefusedValuesError,
)
from basket.errors import (
    ServerError as ServerError,
)
from basket.errors import (
    TargetError as TargetError,
)
from basket.errors import (
    TemplateError as TemplateError,
)
from basket.errors import (
    TooFewError as TooFewError,
)
from basket.errors import (
    UnprintableError as UnprintableError,
)
from basket.errors import (
    UnreachableError as UnreachableError,
)
from basket.errors import (
    ValueTooLargeError as ValueTooLargeError,
)
from basket.errors import (
    WrongThreadError as WrongThreadError,
)

__version__ = "0.1.0"

_HOMES = {
    "connect": "basket.connecting",
    "Basket": "basket.client",
    "Entry": "basket.entry",
    "Peel": "basket.entry",
    "Change": "basket.entry",
    "Watch": "basket.live.watch",
    "Mirror": "basket.live.mirror",
    "Status": "basket.entry",
}

__all__ = [
    "__version__",
    *_HOMES,
    "AuthError",
    "BasketError",
    "BasketTimeoutError",
    "BucketMissingError",
    "ClosedError",
    "CommandFailedError",
    "ConfigError",
    "DecodeError",
    "DestinationError",
    "EncodeError",
    "FunctionError",
    "InvalidKeyError",
    "JetStreamError",
    "MissingError",
    "OutcomeUnknownError",
    "PermissionDeniedError",
    "PublishError",
    "RefusedValuesError",
    "ServerError",
    "TargetError",
    "TemplateError",
    "TooFewError",
    "UnprintableError",
    "UnreachableError",
    "ValueTooLargeError",
    "WrongThreadError",
]

if TYPE_CHECKING:
    from basket.client import Basket as Basket
    from basket.connecting import connect as connect
    from basket.entry import Change as Change
    from basket.entry import Entry as Entry
    from basket.entry import Peel as Peel
    from basket.entry import Status as Status
    from basket.live.mirror import Mirror as Mirror
    from basket.live.watch import Watch as Watch


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> List[str]:
    return sorted(set(globals()) | set(__all__))
