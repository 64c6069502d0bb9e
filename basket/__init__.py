"""zester-basket: machines share small values with each other through NATS JetStream.

The public names of this package. They are loaded at first use, so that ``import basket`` (and the command line's
``--help``) costs neither NATS nor asyncio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List

__version__ = "0.1.0"

_HOMES = {
    "connect": "basket.connecting",
    "Basket": "basket.client",
    "Entry": "basket.entry",
    "Peel": "basket.entry",
    "Change": "basket.watch",
    "Watch": "basket.watch",
    "Mirror": "basket.mirror",
    "Status": "basket.status",
    "BasketError": "basket.errors",
    "ConfigError": "basket.errors",
    "TargetError": "basket.errors",
    "InvalidKeyError": "basket.errors",
    "MissingError": "basket.errors",
    "EncodeError": "basket.errors",
    "DecodeError": "basket.errors",
    "ValueTooLargeError": "basket.errors",
    "FunctionError": "basket.errors",
    "PublishError": "basket.errors",
    "TemplateError": "basket.errors",
    "UnprintableError": "basket.errors",
    "RefusedValuesError": "basket.errors",
    "TooFewError": "basket.errors",
    "DestinationError": "basket.errors",
    "CommandFailedError": "basket.errors",
    "OutcomeUnknownError": "basket.errors",
    "ClosedError": "basket.errors",
    "WrongThreadError": "basket.errors",
    "ServerError": "basket.errors",
    "UnreachableError": "basket.errors",
    "BasketTimeoutError": "basket.errors",
    "JetStreamError": "basket.errors",
    "BucketMissingError": "basket.errors",
    "AuthError": "basket.errors",
    "PermissionDeniedError": "basket.errors",
}

__all__ = ["__version__", *_HOMES]

if TYPE_CHECKING:
    from basket.client import Basket as Basket
    from basket.connecting import connect as connect
    from basket.entry import Entry as Entry
    from basket.entry import Peel as Peel
    from basket.errors import AuthError as AuthError
    from basket.errors import BasketError as BasketError
    from basket.errors import BasketTimeoutError as BasketTimeoutError
    from basket.errors import BucketMissingError as BucketMissingError
    from basket.errors import ClosedError as ClosedError
    from basket.errors import CommandFailedError as CommandFailedError
    from basket.errors import ConfigError as ConfigError
    from basket.errors import DecodeError as DecodeError
    from basket.errors import DestinationError as DestinationError
    from basket.errors import EncodeError as EncodeError
    from basket.errors import FunctionError as FunctionError
    from basket.errors import InvalidKeyError as InvalidKeyError
    from basket.errors import JetStreamError as JetStreamError
    from basket.errors import MissingError as MissingError
    from basket.errors import OutcomeUnknownError as OutcomeUnknownError
    from basket.errors import PermissionDeniedError as PermissionDeniedError
    from basket.errors import PublishError as PublishError
    from basket.errors import RefusedValuesError as RefusedValuesError
    from basket.errors import ServerError as ServerError
    from basket.errors import TargetError as TargetError
    from basket.errors import TemplateError as TemplateError
    from basket.errors import TooFewError as TooFewError
    from basket.errors import UnprintableError as UnprintableError
    from basket.errors import UnreachableError as UnreachableError
    from basket.errors import ValueTooLargeError as ValueTooLargeError
    from basket.errors import WrongThreadError as WrongThreadError
    from basket.mirror import Mirror as Mirror
    from basket.status import Status as Status
    from basket.watch import Change as Change
    from basket.watch import Watch as Watch


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
