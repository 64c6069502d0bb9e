"""Which file is read, and what becomes of one that cannot be."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from basket.config import Config, load, loading, parse
from basket.errors import ConfigError


@pytest.fixture(autouse=True)
def no_system_file(tmp_path: Path, monkeypatch: Any) -> Path:
    path = tmp_path / "etc" / "basket.toml"
    monkeypatch.setattr(loading, "DEFAULT_FILE", str(path))
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "basket.toml"
    path.write_text('peel.id = "here"')
    return path


def test_without_any_file_the_defaults_hold() -> None:
    assert load(environ={}) == Config()
    assert load(environ={"BASKET_CONFIG": ""}) == Config()


def test_the_file_named_comes_first_then_the_variable_then_the_system_file(no_system_file: Path, tmp_path: Path) -> None:
    no_system_file.parent.mkdir()
    for path, name in ((no_system_file, "system"), (tmp_path / "v.toml", "variable"), (tmp_path / "n.toml", "named")):
        path.write_text(f'peel.id = "{name}"')
    environ = {"BASKET_CONFIG": str(tmp_path / "v.toml")}
    assert load(str(tmp_path / "n.toml"), environ=environ).peel.id == "named"
    assert load(environ=environ).peel.id == "variable"
    assert load(environ={}).peel.id == "system"


def test_the_file_is_known_by_its_whole_path(file: Path, monkeypatch: Any) -> None:
    """It is read again later, when the working directory may be another."""
    monkeypatch.chdir(file.parent)
    assert load("basket.toml", environ={}).file == str(file)


def test_the_agent_knows_what_to_watch(file: Path) -> None:
    password = file.with_name("password")
    password.write_text("hidden\n")
    file.write_text(f'nats = {{ user = "u", password_file = "{password}" }}')
    assert load(str(file), environ={}).watched == (str(file), str(password))
    assert Config().watched == ()


@pytest.mark.parametrize("named_by", ["argument", "variable"])
def test_a_named_file_must_be_there(tmp_path: Path, named_by: str) -> None:
    """Falling back to the defaults would talk to another server than the operator meant."""
    path = str(tmp_path / "none.toml")
    with pytest.raises(ConfigError) as caught:
        load(path, environ={}) if named_by == "argument" else load(environ={"BASKET_CONFIG": path})
    assert str(caught.value).startswith(f"{path}: there is no such file")
    assert ("$BASKET_CONFIG" in str(caught.value)) == (named_by == "variable")


def test_an_empty_path_is_no_path() -> None:
    with pytest.raises(ConfigError, match="empty"):
        load("", environ={})
    with pytest.raises(ConfigError, match="NUL"):
        load("/a\0b", environ={})


def test_a_system_file_that_leads_nowhere_is_not_passed_over(no_system_file: Path) -> None:
    no_system_file.parent.mkdir()
    no_system_file.symlink_to("nothing")
    with pytest.raises(ConfigError, match="symbolic link to nothing"):
        load(environ={})


def test_an_unreadable_file(file: Path) -> None:
    file.chmod(0)
    if os.access(file, os.R_OK):
        pytest.skip("root may read everything")
    with pytest.raises(ConfigError, match="permission"):
        load(str(file), environ={})


@pytest.mark.parametrize(
    ("error", "words"), [(PermissionError(13, "x"), "permission"), (OSError(5, "Input/output error"), "Input/output")]
)
def test_what_the_system_refuses(file: Path, monkeypatch: Any, error: OSError, words: str) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(ConfigError, match=words) as caught:
        load(str(file), environ={})
    assert str(file) in str(caught.value)


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a directory, not a configuration file"):
        load(str(tmp_path), environ={})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\xff\xfep\x00e\x00", "is UTF-16; save it as UTF-8"),
        (b"# one\n\n# caf\xe9\n", ":3: not UTF-8: byte 0xe9"),
        (b'# one\npeel.id = "x"\n\0\0\0', ":3: holds a NUL byte"),
        (b"\x7fELF\x02\x01\x01", ":1: not valid TOML"),
        (b"a = 1\na = 2\n", ":2: not valid TOML"),
        (b"\n\n[nats\n", ":3: not valid TOML"),
        (b'[nats]\nurl = "nats://a\n', ":2: not valid TOML"),
        (b"[nats]\nurl = [\n", ":3: not valid TOML"),
        (b"[nats]\nurl = ", ":2: not valid TOML"),
    ],
)
def test_what_is_no_toml_names_the_line(file: Path, content: bytes, words: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(str(file), environ={})
    assert str(caught.value).startswith(str(file))
    assert words in str(caught.value)


def test_a_huge_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="larger than 4 MiB"):
        load("/dev/zero", environ={})


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(file: Path) -> None:
    file.write_bytes(b'\xef\xbb\xbf[peel]\r\nid = "web-01"\r\n')
    assert load(str(file), environ={}).peel.id == "web-01"


def test_depth_is_an_error_not_a_crash() -> None:
    with pytest.raises(ConfigError):
        parse("facts.custom.a = " + "[" * 5000 + "]" * 5000)


def test_an_empty_file_means_the_defaults() -> None:
    assert parse("") == parse("# nothing\n") == parse("[nats]\n[basket.functions]\n") == Config()


def test_equality_tells_what_changed() -> None:
    """The agent reconnects only where [nats] differs."""
    one, two = parse('nats.url = "nats://a"'), parse('nats.url = "nats://a"\nfacts.custom.role = "x"')
    assert one.nats == two.nats
    assert one.facts != two.facts
    assert one != two


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("primary = 1", "primary = true", False),
        ("primary = 1", "primary = 1.0", False),
        ("primary = [0]", "primary = [false]", False),
        ("a.b = 1", "a.b = true", False),
        ("a = []", "a = {}", False),
        ("load = nan", "load = nan", True),
        ('a = 1\nb = "x"', 'b = "x"\na = 1', True),
    ],
)
def test_facts_are_the_same_where_others_read_the_same(one: str, two: str, same: bool) -> None:
    """Seen as equal, a fact that became true would not match ``primary:true`` before the next start."""
    first, second = parse(f"[facts.custom]\n{one}"), parse(f"[facts.custom]\n{two}")
    assert (first == second) == (first.facts.custom == second.facts.custom) == same
    assert (first.facts.custom != second.facts.custom) == (not same)


@settings(max_examples=60, deadline=None)
@given(st.text() | st.text("[]{}=.,#\"'\\\n abnats", max_size=60))
def test_junk_is_an_error_of_ours_or_nothing(text: str) -> None:
    try:
        parse(text, file="f")
    except ConfigError as error:
        assert str(error).startswith("f")


_names = st.sampled_from(
    [
        "peel",
        "nats",
        "basket",
        "facts",
        "agent",
        "template",
        "nodegroups",
        "id",
        "url",
        "tls",
        "timeout",
        "custom",
        "wait",
        "value",
    ]
    + ["functions", "expect", "scope", "password", "check", "source", "destination", "interval", "state", "network.fqdn", "a b"]
)
_data = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.sampled_from(["", "5m", "web*", "\0", "nats://a", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(_names, _data, max_size=4))
def test_any_tree_is_read_or_refused(data: Any) -> None:
    """Every mistake ends in a ConfigError: an exception of another kind would be a traceback on somebody's terminal."""
    from basket.config.building import build
    from basket.config.reading import Document

    try:
        build(Document("", "f"), data, {})
    except ConfigError as error:
        assert str(error).startswith("f: ")
