"""The exception tree: what scripts catch, and that errors survive the ways in which Python moves them about."""

from __future__ import annotations

import copy
import inspect
import pickle

import pytest

import basket
from basket import errors

EXAMPLES = [
    errors.BasketError("x"),
    errors.ConfigError("[nats] url: bad", file="/etc/zester/basket.toml", line=3),
    errors.TargetError("what", expression="a and", position=5, expected="a matcher"),
    errors.InvalidKeyError("x"),
    errors.MissingError("peel 'a' publishes no 'b'"),
    errors.EncodeError("x"),
    errors.DecodeError("x"),
    errors.ValueTooLargeError("x", size=10, limit=5),
    errors.FunctionError("disk.usage", "ran past 5 s"),
    errors.PublishError({"a": errors.ValueTooLargeError("big", size=2, limit=1)}, {"b": 4}),
    errors.TemplateError("nothing is called so", file="/etc/zester/hosts.j2", line=3),
    errors.UnprintableError("x", file="/etc/zester/hosts.j2"),
    errors.RefusedValuesError("x"),
    errors.TooFewError("x"),
    errors.DestinationError("x"),
    errors.CommandFailedError("/etc/hosts: check failed: exit status 1", step="check", reason="exit status 1"),
    errors.OutcomeUnknownError("x"),
    errors.ClosedError("x"),
    errors.WrongThreadError("x"),
    errors.ServerError("x"),
    errors.UnreachableError("x"),
    errors.BasketTimeoutError("x"),
    errors.JetStreamError("x", code=10059),
    errors.BucketMissingError("x", code=10059),
    errors.AuthError("x"),
    errors.PermissionDeniedError("x", subject="$KV.basket.a.b"),
]


def test_every_error_has_an_example_here():
    classes = {c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.BasketError)}
    assert classes == {type(e) for e in EXAMPLES}


def test_every_error_is_public():
    for error in EXAMPLES:
        assert getattr(basket, type(error).__name__) is type(error)


@pytest.mark.parametrize("error", EXAMPLES, ids=lambda e: type(e).__name__)
def test_an_error_survives_pickling_and_copying(error):
    # A worker process of a pool that raises one would otherwise hang the pool.
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert {k: str(v) for k, v in vars(again).items()} == {k: str(v) for k, v in vars(error).items()}


@pytest.mark.parametrize(
    "kind,builtin",
    [
        (errors.TargetError, ValueError),
        (errors.InvalidKeyError, ValueError),
        (errors.MissingError, KeyError),
        (errors.UnreachableError, ConnectionError),
        (errors.BasketTimeoutError, TimeoutError),
        (errors.ValueTooLargeError, ValueError),
        (errors.EncodeError, TypeError),
        (errors.DecodeError, ValueError),
    ],
)
def test_errors_are_also_the_builtin_that_scripts_know(kind, builtin):
    assert issubclass(kind, builtin)
    assert issubclass(kind, errors.BasketError)


def test_a_bad_password_is_not_among_what_a_retry_loop_retries():
    assert not issubclass(errors.AuthError, (errors.UnreachableError, errors.BasketTimeoutError, OSError))
    assert not issubclass(errors.OutcomeUnknownError, errors.ServerError)


def test_a_missing_value_prints_its_message_without_quotes():
    assert str(errors.MissingError("peel 'a' publishes no 'b'")) == "peel 'a' publishes no 'b'"


def test_a_config_error_says_where():
    assert str(errors.ConfigError("bad", file="f.toml", line=3)) == "f.toml:3: bad"
    assert str(errors.ConfigError("bad", file="f.toml")) == "f.toml: bad"
    assert str(errors.ConfigError("bad")) == "bad"


def test_a_target_error_shows_the_place_counted_from_one():
    error = errors.TargetError("nothing here", expression="a and", position=5, expected="a matcher")
    assert str(error) == "bad target 'a and', at character 6: nothing here; expected a matcher"


def test_a_publish_error_names_what_failed_and_keeps_both_sides():
    error = errors.PublishError({"a": errors.EncodeError("no")}, {"b": 7})
    assert str(error) == "1 of 2 values were not published: a: no"
    assert error.published == {"b": 7}
    assert isinstance(error.failed["a"], errors.EncodeError)


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such"):
        basket.no_such  # noqa: B018
    assert "connect" in dir(basket)


def test_thousands_of_failures_are_told_in_a_line_one_can_read():
    """A server without JetStream refuses each of them with the same words."""
    error = errors.PublishError({f"n{i}": errors.JetStreamError("no JetStream") for i in range(3000)}, {})
    assert str(error) == "3000 of 3000 values were not published: n0, n1, n2, n3, n4 and 2995 more: no JetStream"
    different = errors.PublishError({f"n{i}": errors.EncodeError(f"reason {i}") for i in range(3000)}, {})
    assert len(str(different)) < 300 and str(different).endswith("and 2995 more reasons")
