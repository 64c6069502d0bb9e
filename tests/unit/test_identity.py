"""A peel keeps one id: two hosts never share one by accident, and a broken DNS neither hangs nor renames anybody."""

from __future__ import annotations

import logging
import os
import socket
import stat
import threading
import time
from pathlib import Path
from typing import Any, Callable, List, Tuple

import pytest

from basket import hostname, identity
from basket.config import PeelSection
from basket.errors import ConfigError, InvalidKeyError
from basket.identity import full_host_name, peel_id


def named(name: str, reliable: bool = True) -> Callable[[], Tuple[str, bool]]:
    return lambda: (name, reliable)


def nobody_asks() -> Tuple[str, bool]:
    raise AssertionError("the host name was asked for, and is not needed")


@pytest.fixture
def section(tmp_path: Path) -> PeelSection:
    return PeelSection(state=str(tmp_path / "state"))


def pinned(section: PeelSection) -> Path:
    return Path(section.state) / "node-id"


@pytest.fixture(autouse=True)
def no_question(monkeypatch: Any) -> None:
    monkeypatch.setattr(hostname, "_open", None)


def test_the_configured_id_comes_before_the_pinned_one(section: PeelSection) -> None:
    pinned(section).parent.mkdir()
    pinned(section).write_text("pinned\n")
    assert peel_id(PeelSection(id="configured", state=section.state), host_name=nobody_asks) == "configured"


def test_the_pinned_id_comes_before_the_host_name(section: PeelSection) -> None:
    pinned(section).parent.mkdir()
    pinned(section).write_text("pinned-01\n")
    assert peel_id(section, host_name=nobody_asks) == "pinned-01"


@pytest.mark.parametrize(
    ("host", "made"),
    [("web01.example.com", "web01_example_com"), ("Web_1", "Web_1"), ("web 1", "web-1"), ("_-web", "web")],
)
def test_the_host_name_is_made_into_an_id(section: PeelSection, host: str, made: str) -> None:
    assert peel_id(section, host_name=named(host)) == made


@pytest.mark.parametrize("bad", ["", "-web", "a b", "localhost", "x" * 65, "web/1"])
def test_a_bad_configured_id_is_refused_not_bent(section: PeelSection, bad: str) -> None:
    with pytest.raises(InvalidKeyError):
        peel_id(PeelSection(id=bad, state=section.state), host_name=nobody_asks)


@pytest.mark.parametrize("host", ["localhost", "localhost.localdomain", "ip6-localhost", "", "..", "x" * 65])
def test_a_host_without_a_usable_name_is_told_what_to_set(section: PeelSection, host: str) -> None:
    with pytest.raises(ConfigError, match=r"set id in the \[peel\] table"):
        peel_id(section, pin=True, host_name=named(host))
    assert not pinned(section).exists()


def test_only_the_agent_pins(section: PeelSection) -> None:
    peel_id(section, host_name=named("web-01"))
    assert not pinned(section).exists()


def test_pinning_is_private_and_lasts(section: PeelSection) -> None:
    assert peel_id(section, pin=True, host_name=named("web-01")) == "web-01"
    assert stat.S_IMODE(pinned(section).stat().st_mode) == 0o600
    assert stat.S_IMODE(pinned(section).parent.stat().st_mode) == 0o700
    assert pinned(section).read_text() == "web-01\n"
    assert os.listdir(section.state) == ["node-id"], "nothing staged is left behind"
    assert peel_id(section, pin=True, host_name=named("renamed")) == "web-01"


def test_a_directory_that_is_there_keeps_its_mode(section: PeelSection) -> None:
    pinned(section).parent.mkdir(mode=0o750)
    peel_id(section, pin=True, host_name=named("web-01"))
    assert stat.S_IMODE(pinned(section).parent.stat().st_mode) == 0o750


def test_a_configured_id_is_not_pinned(section: PeelSection) -> None:
    """Trying an id once must not settle it."""
    peel_id(PeelSection(id="third", state=section.state), pin=True)
    assert not pinned(section).exists()


def test_the_first_of_two_agents_wins(section: PeelSection) -> None:
    def slow() -> Tuple[str, bool]:
        pinned(section).parent.mkdir()
        pinned(section).write_text("faster\n")
        return "slower", True

    assert peel_id(section, pin=True, host_name=slow) == "faster"
    assert os.listdir(section.state) == ["node-id"]


def test_many_at_once_agree(section: PeelSection) -> None:
    gate = threading.Barrier(8)
    made: List[str] = []

    def one(number: int) -> None:
        gate.wait()
        made.append(peel_id(section, pin=True, host_name=named(f"web-{number}")))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert set(made) == {pinned(section).read_text().strip()}


def test_without_hard_links_it_is_pinned_all_the_same(section: PeelSection, monkeypatch: Any) -> None:
    def refuse(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    peel_id(section, pin=True, host_name=named("web-01"))
    assert pinned(section).read_text() == "web-01\n"
    assert os.listdir(section.state) == ["node-id"]


def test_a_state_directory_that_cannot_be_used_is_logged_and_ignored(tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "file").write_text("")
    section = PeelSection(state=str(tmp_path / "file" / "state"))
    with caplog.at_level(logging.INFO, logger="basket"):
        assert peel_id(section, pin=True, host_name=named("web-01")) == "web-01"
    assert [(r.levelname, r.fields["file"]) for r in caplog.records] == [("INFO", section.state + "/node-id")]


def test_a_file_in_place_of_the_state_directory_is_logged_and_ignored(tmp_path: Path, caplog: Any) -> None:
    (tmp_path / "state").write_text("")
    with caplog.at_level(logging.INFO, logger="basket"):
        assert peel_id(PeelSection(state=str(tmp_path / "state")), pin=True, host_name=named("web-01")) == "web-01"
    assert [r.getMessage() for r in caplog.records] == ["the peel id could not be pinned"]


def test_a_read_only_file_system_is_logged_and_ignored(section: PeelSection, monkeypatch: Any, caplog: Any) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "makedirs", refuse)
    with caplog.at_level(logging.INFO, logger="basket"):
        assert peel_id(section, pin=True, host_name=named("web-01")) == "web-01"
    assert caplog.records[0].fields["error"] == "Read-only file system"


def test_a_pinned_file_out_of_reach_is_passed_over(section: PeelSection) -> None:
    pinned(section).parent.mkdir()
    pinned(section).write_text("pinned\n")
    pinned(section).chmod(0)
    if os.access(pinned(section), os.R_OK):
        pytest.skip("root may read everything")
    assert peel_id(section, host_name=named("web-01")) == "web-01"


@pytest.mark.parametrize(
    "junk", [b"", b"\n", b"\x00\xff\x7f", b"two words", b"a\nb\n", b"localhost\n", b"x" * 100_000, b"-web", "w\u00e9b".encode()]
)
def test_junk_in_the_pinned_file_is_an_error_that_names_it(section: PeelSection, junk: bytes) -> None:
    """Writing a new id over it would give the peel another name behind the operator's back."""
    pinned(section).parent.mkdir()
    pinned(section).write_bytes(junk)
    with pytest.raises(ConfigError) as caught:
        peel_id(section, pin=True, host_name=named("web-01"))
    assert str(caught.value).startswith(f"{pinned(section)}: ")
    assert "delete the file" in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert pinned(section).read_bytes() == junk


def test_a_directory_in_place_of_the_pinned_file_is_an_error(section: PeelSection) -> None:
    pinned(section).mkdir(parents=True)
    with pytest.raises(ConfigError, match="directory"):
        peel_id(section, host_name=named("web-01"))


def test_a_name_found_in_haste_is_not_pinned(section: PeelSection, caplog: Any) -> None:
    """Started while the DNS is down, an agent would otherwise be called by its short name for ever."""
    assert peel_id(section, pin=True, host_name=named("web-01", reliable=False)) == "web-01"
    assert not pinned(section).exists()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def answering(canonical: str) -> Any:
    return lambda *_: [(socket.AF_INET, socket.SOCK_DGRAM, 17, canonical, ("192.0.2.1", 0))]


def failing(number: int) -> Any:
    def fail(*_: object) -> None:
        raise socket.gaierror(number, "no")

    return fail


@pytest.mark.parametrize(
    ("resolver", "answer"),
    [
        (answering("web-01.example.com"), ("web-01.example.com", True)),
        (answering("web-01.example.com."), ("web-01.example.com", True)),
        (answering("localhost"), ("web-01", True)),
        (answering("localhost.localdomain"), ("web-01", True)),
        (answering("x" * 65), ("web-01", True)),
        (answering(""), ("web-01", True)),
        (failing(socket.EAI_NONAME), ("web-01", True)),
        (failing(socket.EAI_AGAIN), ("web-01", False)),
    ],
)
def test_the_full_name_is_what_hostname_f_prints(monkeypatch: Any, resolver: Any, answer: Tuple[str, bool]) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "web-01")
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    assert full_host_name() == answer


def test_a_hanging_resolver_holds_nobody_up(monkeypatch: Any) -> None:
    release = threading.Event()

    def hang(*_: object) -> Any:
        release.wait(10)
        return answering("late.example.com")()

    monkeypatch.setattr(socket, "gethostname", lambda: "web-01")
    monkeypatch.setattr(socket, "getaddrinfo", hang)
    began = time.monotonic()
    assert full_host_name(limit=0.1) == ("web-01", False)
    assert time.monotonic() - began < 2.0
    release.set()


def test_this_host_has_a_name_or_a_clear_error(section: PeelSection) -> None:
    try:
        made = peel_id(section)
    except ConfigError as error:
        assert "[peel]" in str(error)
    else:
        assert made == identity.sanitize_peel_id(full_host_name()[0])
