"""One way to log in, no doubt which; and whatever goes wrong, the secret is in no message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from basket.config import NatsSection, parse
from basket.errors import ConfigError

SECRET = "hunter2"


def nats(text: str, **environ: str) -> NatsSection:
    return parse(f"[nats]\n{text}", file="f", environ=environ).nats


def refused(text: str, **environ: str) -> str:
    with pytest.raises(ConfigError) as caught:
        nats(text, **environ)
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_where_a_password_may_stand(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(f"{SECRET}\n")
    assert nats(f'user = "u"\npassword = "{SECRET}"').password == SECRET
    assert nats(f'user = "u"\npassword_file = "{file}"').password == SECRET
    assert nats('user = "u"\npassword_env = "PW"', PW=SECRET).password == SECRET
    assert nats('token_env = "PW"', PW=SECRET).token == SECRET
    assert nats(f'token_file = "{file}"').token == SECRET


@pytest.mark.parametrize(
    ("content", "value"), [(b"a b \n", "a b "), (b"a\r\n", "a"), (b"a", "a"), (" é\n".encode(), " é"), (b"#$'\"\n", "#$'\"")]
)
def test_a_file_means_its_first_line_and_nothing_less(tmp_path: Path, content: bytes, value: str) -> None:
    """A blank may belong to a password; the end of the line never does."""
    (tmp_path / "token").write_bytes(content)
    assert nats(f'token_file = "{tmp_path}/token"').token == value


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"hunter2\nx\n", "more than one line"),
        (b"hunter2\xff", "not UTF-8"),
        (b"x" * 70000, "larger"),
    ],
)
def test_a_file_without_one_secret(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "token").write_bytes(content)
    message = refused(f'token_file = "{tmp_path}/token"')
    assert message.startswith("f:2: [nats] token_file: ")
    assert words in message


def test_a_new_password_in_the_file_is_a_changed_connection(tmp_path: Path) -> None:
    """That is how the agent learns that it has to log in again."""
    file = tmp_path / "token"
    file.write_text("one")
    before = nats(f'token_file = "{file}"')
    file.write_text("two")
    assert nats(f'token_file = "{file}"') != before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f'password = "{SECRET}"', "f:2: [nats] password: stands without user"),
        ('password_env = "PW"', "f:2: [nats] password_env: stands without user"),
        ('user = "u"', "f:2: [nats] user: stands without password"),
        (f'user = "u"\npassword = "{SECRET}"\npassword_env = "PW"', "f:4: [nats] password_env: password stands there too"),
        (f'token = "{SECRET}"\ntoken_file = "/x"', "f:3: [nats] token_file: token stands there too"),
        (f'user = "u"\npassword = "{SECRET}"\ncredentials = "/x"', "f:4: [nats] credentials: user stands there too"),
        (f'token = "{SECRET}"\nnkey_seed = "/x"', "f:3: [nats] nkey_seed: token stands there too"),
        ('credentials = "/x"\nnkey_seed = "/x"', "f:3: [nats] nkey_seed: credentials stands there too"),
        (f'url = "nats://u:{SECRET}@a"\ncredentials = "/x"', "f:2: [nats] url: holds a user or token"),
        (f'url = ["nats://a", "nats://{SECRET}@b"]\ntoken_env = "PW"', "f:2: [nats] url: holds a user or token"),
        ("password = 5", "f:2: [nats] password: stands without user"),
        ("token = 5", "f:2: [nats] token: expected a string"),
        ('token = ""', "f:2: [nats] token: is empty"),
        ('token = "${NATS_TOKEN}"', 'write token_env = "NAME"'),
        ('token = "$NATS_TOKEN"', 'write token_env = "NAME"'),
        ('token_env = "NOT_SET"', "the environment variable NOT_SET is not set"),
        ('token_env = "EMPTY"', "the environment variable EMPTY is empty"),
        (f'token_env = "{SECRET}"', "the environment variable named here is not set"),
        (f'token_env = "{SECRET}!"', "expected the name of an environment variable"),
        ('token_file = "/nonexistent/x"', "cannot read '/nonexistent/x': no such file"),
        ('token_file = "/"', "is a directory"),
        ('token_file = "~/x"', "neither '~' nor"),
        (
            'nkey_seed = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"',
            "the path of a file, not what stands in the file",
        ),
        ('credentials = """-----BEGIN NATS USER JWT-----\nhunter2"""', "the path of a file, not what stands in the file"),
        ('tls = { cert = "/x" }', "f:2: [nats.tls] cert: stands without key"),
        ('tls = { key = "/x" }', "f:2: [nats.tls] key: stands without cert"),
        ('url = "ws://a"\ntls = { ca = "/x" }', "ws:// is never encrypted"),
        ('url = ["nats://a", "wss://b"]', "cannot be mixed"),
        (f'url = "http://u:{SECRET}@a"', "'http://u:***@a' starts with 'http'"),
        (f'url = "nats://u:{SECRET}@a:x"', "'nats://u:***@a:x' is not an address"),
        (f'passwd = "{SECRET}"', "f:2: [nats] passwd: unknown key; nearest known name 'password'"),
    ],
)
def test_refused(text: str, words: str) -> None:
    assert words in refused(text, PW=SECRET, EMPTY="")


def test_bad_toml_shows_no_secret() -> None:
    for text in (f'token = "{SECRET}', f"token = {SECRET}", f'token = "{SECRET}"\ntoken = "{SECRET}"', f'token "{SECRET}"'):
        refused(text)


@pytest.mark.parametrize(
    "text",
    [
        'credentials = "/x"',
        'nkey_seed = "/x"',
        'user = "u"\npassword = "hunter2"',
        'url = "nats://u:hunter2@a"',
        'token = "pa$$word"',
    ],
)
def test_each_way_alone_is_accepted(text: str) -> None:
    assert SECRET not in repr(parse(f"[nats]\n{text}", environ={}))


def test_tls() -> None:
    tls = nats('url = "tls://a"\ntls = { ca = "/ca", cert = "/c", key = "/k", first = true }').tls
    assert (tls.ca, tls.cert, tls.key, tls.first) == ("/ca", "/c", "/k", True)


def test_no_variable_is_expanded(monkeypatch: Any) -> None:
    monkeypatch.setenv("HOME", "/expanded")
    assert nats('token = "a${HOME}"', HOME="/expanded").token == "a${HOME}"
