"""What a peel must be allowed on the NATS server, subject by subject, and nothing more. Pure: gives text, asks nobody.

Each grant says what it is for. Only names are limited here; what no grant can forbid (replies sent astray, rollup headers)
is closed by ``ACCOUNTS`` and by ``Basket.protect_buckets``.
"""

from __future__ import annotations

import re
import shlex
from typing import Iterable, List, NamedTuple, Optional, Sequence, Tuple

from basket.errors import InvalidKeyError
from basket.keys import check_peel_id
from basket.names import FACTS, HEARTBEATS, RESOLVE, RESOLVERS, VALUES

PUBLISH, SUBSCRIBE = "publish", "subscribe"

RESPONSE_TIME = "1m"
"""How long a resolver may take to answer a request."""

_PART = re.compile(r"[-/_=a-zA-Z0-9]+\Z")


class Grant(NamedTuple):
    """``action`` is "publish" or "subscribe"; ``subject`` may hold NATS wildcards, and a queue group after a blank."""

    action: str
    subject: str
    purpose: str


class Permissions(NamedTuple):
    """Everything one user of the server is granted. ``responses``: it may answer what it is asked, once each."""

    peel_id: str
    grants: Tuple[Grant, ...]
    responses: bool

    def subjects(self, action: str) -> List[str]:
        """The subjects of one action, each once."""
        return list(dict.fromkeys(grant.subject for grant in self.grants if grant.action == action))


def permissions(
    peel_id: str,
    *,
    reader: bool = False,
    functions: Sequence[str] = (),
    facts: Optional[bool] = None,
    resolver: bool = False,
) -> Permissions:
    """What ``peel_id`` needs. A ``reader`` writes nothing. ``functions`` (``network.*``, ``disk.usage``; none means all)
    are the only ones whose values it may read; then ``facts`` are granted only on request, else always. A ``resolver``
    answers the target resolution requests of others. InvalidKeyError for a bad id or pattern."""
    who = check_peel_id(peel_id)
    patterns = [function_subject(pattern) for pattern in functions]
    with_facts = not patterns if facts is None else facts
    if resolver and not with_facts:
        raise InvalidKeyError("a resolver answers from everybody's facts, so it must be allowed to read them")
    grants: List[Grant] = []
    if not reader:
        grants += [
            Grant(PUBLISH, f"$KV.{VALUES}.{who}.>", "write and delete its own values"),
            Grant(PUBLISH, f"$KV.{FACTS}.{who}", "write its own facts"),
            Grant(PUBLISH, f"$KV.{HEARTBEATS}.{who}", "write its own heartbeat"),
        ]
    if patterns:
        named = [(f"*.{pattern}", f"values of {given}") for pattern, given in zip(patterns, functions)]
        grants += _read_some(VALUES, named if reader else [(f"{who}.>", "its own values"), *named])
    else:
        grants += _read_all(VALUES, "values")
    if with_facts:
        grants += _read_all(FACTS, "facts")
    grants += _read_all(HEARTBEATS, "heartbeats")
    if with_facts:
        grants.append(Grant(PUBLISH, RESOLVE, "ask a resolver which peels a target selects"))
    grants.append(Grant(SUBSCRIBE, f"_INBOX_{who}.>", "hear its own replies, and nobody else's"))
    if resolver:
        grants.append(Grant(SUBSCRIBE, f"{RESOLVE} {RESOLVERS}", "share in answering which peels a target selects"))
    return Permissions(who, tuple(grants), resolver)


def function_subject(pattern: str) -> str:
    """The NATS form of ``network.*`` (all that begins so), ``disk.usage``, ``*`` (everything). InvalidKeyError where the
    server could not tell such functions from others: it knows whole parts between dots only."""
    parts = pattern.strip().split(".")
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "*" or (part == ">" and last):
            continue
        if not _PART.match(part):
            raise InvalidKeyError(
                f"bad function pattern {pattern!r}: write a whole name such as 'disk.usage', or '*' in place of whole parts, as "
                "in 'network.*'; the server knows nothing between that"
            )
    if parts[-1] == "*":
        parts[-1] = ">"
    return ".".join(parts)


def _read_all(bucket: str, what: str) -> List[Grant]:
    stream, api = f"KV_{bucket}", "$JS.API"
    return [
        Grant(PUBLISH, f"{api}.STREAM.INFO.{stream}", f"{what}: is the bucket there, which keys, what time is it"),
        Grant(PUBLISH, f"{api}.DIRECT.GET.{stream}.>", f"{what}: read one"),
        Grant(PUBLISH, f"{api}.DIRECT.GET.{stream}", f"{what}: read many at once"),
        Grant(PUBLISH, f"{api}.STREAM.MSG.GET.{stream}", f"{what}: read one from a bucket made without direct reads"),
        Grant(PUBLISH, f"{api}.CONSUMER.CREATE.{stream}.>", f"{what}: follow changes, list what there is"),
        *_consumer_ends(stream, what),
    ]


def _read_some(bucket: str, named: Iterable[Tuple[str, str]]) -> List[Grant]:
    """Nothing whose limits stand in the body of a request: permissions see subjects only."""
    stream, api = f"KV_{bucket}", "$JS.API"
    grants: List[Grant] = []
    for keys, what in named:
        subject = f"$KV.{bucket}.{keys}"
        grants.append(Grant(PUBLISH, f"{api}.DIRECT.GET.{stream}.{subject}", f"{what}: read one"))
        grants.append(Grant(PUBLISH, f"{api}.CONSUMER.CREATE.{stream}.*.{subject}", f"{what}: read many, follow changes"))
    return grants + _consumer_ends(stream, "values")


def _consumer_ends(stream: str, what: str) -> List[Grant]:
    return [
        # Names of consumers are 122 random bits, and nothing granted here lists them: one removes only one's own.
        Grant(PUBLISH, f"$JS.API.CONSUMER.DELETE.{stream}.*", f"{what}: end what it followed (names cannot be guessed)"),
        Grant(PUBLISH, f"$JS.FC.{stream}.>", f"{what}: tell the server that it keeps up"),
    ]


# -- as text ------------------------------------------------------------------------------------------------------------


def as_block(granted: Permissions) -> List[str]:
    """Lines for a user in the server's configuration."""
    lines = ["permissions = {"]
    for action in (PUBLISH, SUBSCRIBE):
        subjects = granted.subjects(action)
        purposes = {subject: _purposes(granted, action, subject) for subject in subjects}
        quoted = [f'"{subject}"' + ("," if subject != subjects[-1] else "") for subject in subjects]
        broad = max(map(len, quoted))
        lines += [f"  {action} = {{", "    allow = ["]
        lines += [f"      {text.ljust(broad)}  # {purposes[subject]}" for text, subject in zip(quoted, subjects)]
        lines += ["    ]", "  }"]
    if granted.responses:
        lines.append(f'  allow_responses = {{ max = 1, expires = "{RESPONSE_TIME}" }}  # answer whoever asked, once')
    return [*lines, "}"]


def as_nsc(granted: Permissions) -> str:
    """The same as arguments of ``nsc add user`` or ``nsc edit user``, quoted for a shell, on one line."""
    words = []
    for action, option in ((PUBLISH, "--allow-pub"), (SUBSCRIBE, "--allow-sub")):
        words += [option, shlex.quote(",".join(granted.subjects(action)))]
    if granted.responses:
        words += ["--allow-pub-response=1", f"--response-ttl={RESPONSE_TIME}"]
    return " ".join(words)


def _purposes(granted: Permissions, action: str, subject: str) -> str:
    return "; ".join(dict.fromkeys(g.purpose for g in granted.grants if (g.action, g.subject) == (action, subject)))


ACCOUNTS = """\
# Permissions look at the subject that a client publishes to, never at where it wants the reply. With the buckets in the same
# account, a client may have the server's reply stored under somebody else's key, or sent to JetStream's API as a command. So
# the buckets have an account of their own: replies to peels stay in the account of the peels, where nobody stores or obeys
# them.
accounts {
  BASKET {
    jetstream = enabled
    users = [
      %(operators)s
    ]
    exports = [
      { service = "$KV.>" }                                # writing
      { service = "$JS.API.>", response_type = stream }    # reading; what of it a peel may use, its permissions say
      { service = "$JS.FC.>" }                             # flow control of what is followed
      { stream = "*.*" }                                   # what is followed, delivered to _INBOX_<peel>.<random>
    ]
  }
  PEELS {
    users = [
      %(peels)s
    ]
    imports = [
      { service = { account = BASKET, subject = "$KV.>" } }
      { service = { account = BASKET, subject = "$JS.API.>" } }
      { service = { account = BASKET, subject = "$JS.FC.>" } }
      { stream = { account = BASKET, subject = "*.*" } }
    ]
  }
}
"""
"""A server's accounts, with places for the users of each."""


def as_accounts(operators: Sequence[str] = (), peels: Sequence[str] = ()) -> str:
    """The two accounts as text for the server's configuration; each user is the text of a map."""
    example = '# { user = "web-01", password = "...", permissions = { what this command prints for web-01 } }'
    return ACCOUNTS % {
        "operators": "\n      ".join(operators) or '# { user = "operator", password = "..." }',
        "peels": "\n      ".join(peels) or example,
    }
