"""The server: reached, which version, JetStream, the three buckets and their settings, the clock."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Iterator, List, Mapping, Tuple

from basket.addresses import redacted
from basket.checking.result import FAILED, OK, WARNING, Area, Result
from basket.errors import AuthError, BasketError, BucketMissingError, ConfigError, PermissionDeniedError

if TYPE_CHECKING:
    from basket.bus.bucket import Bucket, BucketSpec
    from basket.client import Basket

OLDEST = (2, 10)
"""The oldest server line that is tested."""

BATCHES = (2, 11)
"""From here on many values come in one exchange."""

MOST_SKEW = 2.0
"""Seconds between this clock and the server's from which on ``max_age`` and times shown mislead."""

LIMITED = "where some functions only may be read, name one with --reads; where nothing may be written, say --reader"
MISSING = "have an operator make it: zester-basket permissions --protect"

_THERE = Area.SERVER


def reach(one: Basket) -> Result:
    """Connect, once."""
    urls = one.buckets[0].link.settings.urls
    begun = time.monotonic()
    try:
        one.open()
    except ConfigError as error:
        return Result(Area.CONFIGURATION, "server", FAILED, str(error), "see [nats] in the configuration")
    except AuthError as error:
        advice = "see user, password, token, credentials and nkey_seed under [nats], and what the server knows of them"
        return Result(_THERE, "server", FAILED, str(error), advice)
    except BasketError as error:
        return Result(_THERE, "server", FAILED, str(error), "is it running, and is the address right ([nats] url, --server)?")
    where = ", ".join(map(redacted, urls))
    return Result(_THERE, "server", OK, f"{where} answered in {(time.monotonic() - begun) * 1000:.0f} ms")


def greeting(one: Basket) -> Iterator[Result]:
    """What the server says of itself, and what is said to it."""
    link = one.buckets[0].link
    version = link.server_version
    shown = one.status().server_version or "of unknown version"
    if version and version < OLDEST:
        advice = "install nats-server 2.10 or newer, better 2.11"
        yield Result(_THERE, "version", WARNING, f"nats-server {shown} is older than what is tested", advice)
    elif version and version < BATCHES:
        yield Result(_THERE, "version", OK, f"nats-server {shown}; from 2.11 on many values come in one exchange")
    else:
        yield Result(_THERE, "version", OK, f"nats-server {shown}, answers batched reads")
    client = link.client
    if client is not None and not client.asks_who:
        advice = "configure users there before others can reach it"
        yield Result(_THERE, "access", WARNING, "the server asks nobody who they are: all can read and write all", advice)
    elif not link.inbox.startswith("_INBOX_"):
        advice = f"allow this user to subscribe to _INBOX_{_name(one)}.> instead of _INBOX.>"
        yield Result(_THERE, "access", WARNING, "answers come in on _INBOX, where other peels may read them", advice)
    else:
        yield Result(_THERE, "access", OK, f"credentials accepted; answers come in on the private {link.inbox.split('.')[0]}")


def _name(one: Basket) -> str:
    try:
        return one.peel_id
    except BasketError:
        return "<peel-id>"


def buckets(one: Basket, *, limited: bool = False) -> Iterator[Result]:
    """JetStream, and each bucket with its settings. A bucket that is missing is made, as every first use makes it.

    ``limited``: these credentials read some functions only, so that not every bucket may be looked at.
    """
    found = []
    for bucket in one.buckets:
        deadline = time.monotonic() + one.timeout
        made = False
        try:
            try:
                info = bucket.info(deadline=deadline)
            except BucketMissingError:
                bucket.create(deadline=deadline)
                info, made = bucket.info(deadline=deadline), True
        except BasketError as error:
            refused = isinstance(error, PermissionDeniedError)
            if refused and limited:
                yield Result(_THERE, f"bucket {bucket.spec.name}", OK, "its settings are not for these credentials to see")
                continue
            advice = f"{LIMITED} (zester-basket permissions PEEL prints the grants)" if refused else MISSING
            yield Result(_THERE, f"bucket {bucket.spec.name}", FAILED, str(error), advice)
            if not (refused or isinstance(error, BucketMissingError)):
                return  # without JetStream, or without an answer, the others fail alike
            continue
        found.append((bucket, info, made))
    if found:
        yield Result(_THERE, "JetStream", OK, "enabled for this account")
    for bucket, info, made in found:
        differences = list(compare(bucket.spec, info.get("config", {})))
        for what, advice in differences:
            yield Result(_THERE, f"bucket {bucket.spec.name}", WARNING, what, advice)
        if not differences:
            yield Result(_THERE, f"bucket {bucket.spec.name}", OK, _state(info) + (", just made" if made else ""))


def _state(info: Mapping[str, Any]) -> str:
    state = info.get("state") or {}
    count = int(state.get("num_subjects") or 0)
    return f"{count} key{'s' * (count != 1)}, {int(state.get('bytes') or 0) / 1e6:.3g} MB, settings as they should be"


def compare(spec: BucketSpec, config: Mapping[str, Any]) -> Iterator[Tuple[str, str]]:
    """(what differs from the settings that this project makes buckets with, what to do) of a stream's configuration."""
    edit = f"nats stream edit {spec.stream} --force"
    if not config.get("allow_direct"):
        yield "direct reads are off, so that every read is slower", f"{edit} --allow-direct"
    history = config.get("max_msgs_per_subject")
    if history != spec.history:
        yield f"keeps {history} values of a key, not {spec.history}", f"{edit} --max-msgs-per-subject={spec.history}"
    ttl = float(config.get("max_age") or 0) / 1e9
    if ttl != spec.ttl:
        kept = f"drops values after {ttl:g} s" if ttl else "never drops values"
        wanted = f"{spec.ttl:g}s" if spec.ttl else "-1"
        effect = ": peels look alive that are not" if spec.ttl else ": values vanish that did not change"
        yield f"{kept}{effect}", f"{edit} --max-age={wanted}"
    if config.get("storage") != "file":
        advice = f"make it anew: nats stream rm {spec.stream}, then any agent makes it and all publish again"
        yield f"keeps its values in {config.get('storage')}: they are gone when the server restarts", advice
    replicas = int(config.get("num_replicas") or 1)
    if replicas < spec.replicas:
        plural = "s" * (replicas != 1)
        yield (
            f"is kept on {replicas} server{plural}, [basket] replicas says {spec.replicas}",
            f"{edit} --replicas={spec.replicas}",
        )
    for key, flag in (("max_bytes", "--max-bytes"), ("max_msgs", "--max-msgs")):
        limit = config.get(key)
        if limit is not None and limit >= 0:
            yield f"takes at most {limit} ({key}): writes are refused, or values lost, beyond that", f"{edit} {flag}=-1"
    if config.get("subjects") not in (None, [f"{spec.prefix}>"]):
        yield f"holds {', '.join(config['subjects'])}, not {spec.prefix}>", "it is not the bucket it is named after: move it away"


def clock(one: Basket) -> Result:
    """How far this host's clock is from the server's."""
    bucket: Bucket = one.buckets[2]  # of heartbeats: what everybody may ask about
    try:
        ahead = _median([bucket.clock_ahead(deadline=time.monotonic() + one.timeout) for _ in range(3)])
    except BasketError as error:
        return Result(_THERE, "clock", FAILED, str(error))
    return skew(ahead)


def skew(ahead: float) -> Result:
    """``ahead``: seconds by which the server's clock is ahead of ours."""
    side = "behind" if ahead > 0 else "ahead of"
    if abs(ahead) <= MOST_SKEW:
        return Result(_THERE, "clock", OK, f"{abs(ahead):.3f} s {side} the server's")
    what = f"this host's clock is {abs(ahead):.1f} s {side} the server's: ages and times shown mislead"
    return Result(_THERE, "clock", WARNING, what, "synchronise both: timedatectl set-ntp true")


def _median(values: List[float]) -> float:
    return sorted(values)[len(values) // 2]
