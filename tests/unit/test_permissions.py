"""What is granted, as data and as text: a grant too many is a hole, one too few an outage, a pattern misread is both."""

from __future__ import annotations

import shlex

import pytest

from basket.cli import main
from basket.errors import InvalidKeyError
from basket.permissions import (
    PUBLISH,
    SUBSCRIBE,
    as_accounts,
    as_block,
    as_nsc,
    function_subject,
    permissions,
)

MANAGING = ("STREAM.CREATE", "STREAM.UPDATE", "STREAM.DELETE", "STREAM.PURGE", "CONSUMER.NAMES", "CONSUMER.LIST", "CONSUMER.INFO")


def _matches(granted, subject):
    """Whether NATS would let this subject pass."""
    wanted, given = subject.split("."), granted.split(" ")[0].split(".")
    for index, part in enumerate(given):
        if part == ">":
            return len(wanted) > index
        if index >= len(wanted) or part not in ("*", wanted[index]):
            return False
    return len(wanted) == len(given)


def _allowed(granted, action, subject):
    return any(_matches(one, subject) for one in granted.subjects(action))


@pytest.mark.parametrize("options", [{}, {"reader": True}, {"resolver": True}, {"functions": ["network.*"]}])
def test_nobody_is_granted_what_is_not_theirs(options):
    granted = permissions("web-01", **options)
    for subject in ("$KV.basket.web-02.a", "$KV.facts.web-02", "$KV.peel-heartbeat.web-02", "$KV.basket.web-011.a", "_INBOX.x"):
        assert not _allowed(granted, PUBLISH, subject)
    for verb in MANAGING:
        for bucket in ("basket", "facts", "peel-heartbeat"):
            for rest in ("", ".name"):
                assert not _allowed(granted, PUBLISH, f"$JS.API.{verb}.KV_{bucket}{rest}")
    for subject in ("_INBOX_web-02.x", "_INBOX.x", "$KV.basket.web-01.a", "$JS.EVENT.ADVISORY.x"):
        assert not _allowed(granted, SUBSCRIBE, subject)


def test_a_reader_writes_nothing():
    writes = [subject for subject in permissions("r", reader=True).subjects(PUBLISH) if subject.startswith("$KV")]
    assert writes == []


def test_the_id_is_made_one_that_a_key_can_hold():
    """web-01.example.com publishes as web-01_example_com: with the dot it would be granted nothing of its own."""
    assert "$KV.basket.web-01_example_com.>" in permissions("web-01.example.com").subjects(PUBLISH)
    for bad in ("web*", "web 01", ">", "", "localhost"):
        with pytest.raises(InvalidKeyError):
            permissions(bad)


@pytest.mark.parametrize(
    "pattern,subject",
    [
        ("network.*", "network.>"),
        ("network.>", "network.>"),
        ("disk.usage", "disk.usage"),
        ("*", ">"),
        ("*.usage", "*.usage"),
        ("a.*.c", "a.*.c"),
        (" disk.usage ", "disk.usage"),
    ],
)
def test_function_patterns(pattern, subject):
    assert function_subject(pattern) == subject


@pytest.mark.parametrize("pattern", ["net*", "network.ip_*", "", "a..b", ".a", "a.>.b", "a b", "a,b", "$KV", '"'])
def test_patterns_that_the_server_cannot_tell_apart_are_refused(pattern):
    """Printed all the same they would grant something else, or break out of the quotes of the configuration."""
    with pytest.raises(InvalidKeyError, match="whole parts"):
        function_subject(pattern)


def test_some_functions_grant_no_request_whose_body_decides():
    granted = permissions("r", reader=True, functions=["network.*"])
    for subject in (
        "$JS.API.DIRECT.GET.KV_basket",
        "$JS.API.STREAM.MSG.GET.KV_basket",
        "$JS.API.STREAM.INFO.KV_basket",
        "$JS.API.CONSUMER.CREATE.KV_basket.name",
        "$JS.API.CONSUMER.CREATE.KV_basket.name.$KV.basket.*.custom.secret",
        "$JS.API.CONSUMER.CREATE.KV_basket.name.$KV.basket.>",
        "$JS.API.DIRECT.GET.KV_basket.$KV.basket.web-01.custom.secret",
        "$JS.API.DIRECT.GET.KV_facts",
        "$JS.API.DIRECT.GET.KV_facts.$KV.facts.web-01",
        "zester.target.resolve",  # it tells facts to whoever wants them
    ):
        assert not _allowed(granted, PUBLISH, subject), subject
    assert _allowed(granted, PUBLISH, "$JS.API.CONSUMER.CREATE.KV_basket.name.$KV.basket.*.network.ip_addrs")
    assert _allowed(granted, PUBLISH, "$JS.API.DIRECT.GET.KV_basket.$KV.basket.web-01.network.ip_addrs")
    assert _allowed(granted, PUBLISH, "$JS.API.DIRECT.GET.KV_peel-heartbeat")


def test_facts_beside_some_functions_are_asked_for():
    granted = permissions("r", reader=True, functions=["network.*"], facts=True)
    assert _allowed(granted, PUBLISH, "$JS.API.DIRECT.GET.KV_facts")
    with pytest.raises(InvalidKeyError, match="resolver"):
        permissions("r", functions=["network.*"], resolver=True)


def test_only_a_resolver_answers():
    assert not permissions("web-01").responses
    granted = permissions("web-01", resolver=True)
    assert granted.responses
    assert "zester.target.resolve zester-target-resolvers" in granted.subjects(SUBSCRIBE)
    assert any("allow_responses" in line for line in as_block(granted))
    assert "--allow-pub-response=1" in as_nsc(granted)


def test_every_grant_says_what_it_is_for():
    granted = permissions("web-01", resolver=True, functions=["network.*"], facts=True)
    assert all(grant.purpose for grant in granted.grants)
    for line in as_block(granted):
        if '"' in line:
            assert "  # " in line


def test_nsc_arguments_survive_a_shell():
    granted = permissions("web-01")
    words = shlex.split(as_nsc(granted))
    assert words[0] == "--allow-pub" and words[2] == "--allow-sub"
    assert words[1].split(",") == granted.subjects(PUBLISH)
    assert words[3] == "_INBOX_web-01.>"
    assert "\n" not in as_nsc(granted)


def test_accounts_hold_the_users_they_are_given():
    text = as_accounts(["{ user = op }"], ["{ user = a }", "{ user = b }"])
    basket, _, peels = text.partition("PEELS {")
    assert "{ user = op }" in basket and "{ user = a }" in peels and "{ user = b }" in peels
    assert "jetstream" in basket and "jetstream" not in peels


def test_the_command(capsys):
    assert main(["permissions", "lb-01", "--reader", "--functions", "network.*, disk.usage"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("permissions = {\n") and "disk.usage" in out
    assert main(["permissions", "lb-01", "--jwt-args"]) == 0
    assert capsys.readouterr().out.startswith("--allow-pub '$KV.basket.lb-01.>,")
    assert main(["permissions", "--accounts"]) == 0
    assert "PEELS" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["a", "--accounts"],
        ["--protect", "--reader"],
        ["a", "--facts"],
        ["a", "--functions", "net*"],
        ["a", "--accounts", "--protect"],
    ],
)
def test_the_command_refuses_what_does_not_go_together(words, capsys):
    assert main(["permissions", *words]) == 2
    assert capsys.readouterr().out == ""
