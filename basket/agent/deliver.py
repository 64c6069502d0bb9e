"""What the agent asks of a Basket, as plain calls that block: for the worker threads, with all they need as arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, FrozenSet, Iterable, Mapping, NamedTuple, Optional

from basket import codec
from basket.agent.faults import reason
from basket.agent.outbox import Delivery, Value
from basket.errors import BasketError, BucketMissingError, MissingError, PublishError
from basket.logs import Log

if TYPE_CHECKING:
    from basket.client import Basket
    from basket.config import Scheduled

log = Log("basket.agent")


class Delivered(NamedTuple):
    """``failed`` names functions that were neither written nor deleted, each with the reason."""

    revisions: Mapping[str, int]
    deleted: FrozenSet[str]
    failed: Mapping[str, BasketError]


class Facts(NamedTuple):
    """``stable`` is the encoding of what does not change by itself; ``revision`` None where nothing had to be written."""

    stable: bytes
    revision: Optional[int]


class Held(NamedTuple):
    """What the buckets hold of this peel: revision by function, and whether there are facts (None: not looked)."""

    revisions: Mapping[str, int]
    facts: Optional[bool]


def compute(scheduled: Scheduled, custom: Mapping[str, Any]) -> Value:
    """Run a function. FunctionError, EncodeError."""
    from basket import functions

    value = functions.run(scheduled.function, timeout=scheduled.timeout, custom_facts=custom)
    return Value(value, codec.encode(value))


def deliver(basket: Basket, delivery: Delivery) -> Delivered:
    """Write and delete; every failure is in the result."""
    revisions: Dict[str, int] = {}
    failed: Dict[str, BasketError] = {}
    deleted = set()
    if delivery.values:
        try:
            revisions.update(basket.publish_many({name: value.value for name, value in delivery.values.items()}))
        except PublishError as error:
            revisions.update(error.published)
            failed.update(error.failed)
        except BasketError as error:
            failed.update(dict.fromkeys(delivery.values, error))
    for name in delivery.retired:
        try:
            basket.delete(name)
            deleted.add(name)
        except BasketError as error:
            failed[name] = error
    return Delivered(revisions, frozenset(deleted), failed)


def farewell(basket: Basket) -> None:
    """Delete all that stands under an id that this peel gives up, what scripts published under it included. What is left,
    where that fails, stays for ever; so it is told, with the command that deletes it."""
    peel_id = basket.peel_id
    for step in (basket.flush, basket.delete_facts):
        try:
            step()
        except BucketMissingError:
            pass
        except BasketError as error:
            log.warning(
                "what was published under the former id of this peel is still there",
                peel=peel_id,
                reason=reason(error),
                mend=f"zester-basket delete --peel {peel_id} --all",
            )
            return


def publish_facts(basket: Basket, custom: Mapping[str, Any], known: Optional[bytes]) -> Facts:
    """Collect the facts and write them, unless what is stable in them encodes to ``known``."""
    from basket import facts

    document = facts.collect(custom)
    stable = codec.encode(facts.stable(document))
    return Facts(stable, None if stable == known else basket.publish_facts(document))


def look(basket: Basket, functions: Iterable[str], *, facts: bool) -> Held:
    """One read of what the buckets hold of this peel now."""
    revisions: Dict[str, int] = {}
    try:
        revisions = basket.revisions(functions)
    except BucketMissingError:
        pass  # the next write makes it
    there: Optional[bool] = None
    if facts:
        try:
            basket.facts(basket.peel_id)
            there = True
        except (MissingError, BucketMissingError):
            there = False
    return Held(revisions, there)
