"""One record, one line, whatever is in it; and nothing that a log line can do to whoever reads it."""

from __future__ import annotations

import io
import json
import logging
import re

import pytest

from basket import logs


@pytest.fixture
def setup():
    root = logging.getLogger()
    level, own = root.level, logging.getLogger("basket").level

    def start(**how):
        stream = io.StringIO()
        logs.setup(stream=stream, **how)
        return logs.Log("basket.test"), stream

    yield start
    for handler in list(root.handlers):
        if isinstance(handler, logs._Lines):
            root.removeHandler(handler)
    root.setLevel(level)
    logging.getLogger("basket").setLevel(own)


def test_text_lines_have_time_level_message_and_fields(setup):
    log, out = setup()
    log.info("agent starting", peel="web-01", functions=3, server=None)
    log.warning("function failed", reason='exit status 1: say "no"', seconds=0.25)
    first, second = out.getvalue().splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO  agent starting peel=web-01 functions=3", first)
    assert second.endswith(r'WARN  function failed reason="exit status 1: say \"no\"" seconds=0.25')


def test_json_lines_are_one_object_each(setup):
    log, out = setup(form="json")
    log.error("went wrong", function="custom.x", level="mine", value=b"\xff", reason="two\nlines \x7f\x1b[2J\u202e")
    (line,) = out.getvalue().splitlines()
    entry = json.loads(line)
    assert entry["level"] == "error" and entry["msg"] == "went wrong" and entry["function"] == "custom.x"
    assert entry["level_"] == "mine"
    assert entry["reason"] == "two\nlines \x7f\x1b[2J\u202e"
    assert line.isascii() and line.isprintable()


@pytest.mark.parametrize("form", logs.FORMATS)
def test_no_text_from_elsewhere_can_add_a_line_or_steer_the_terminal(setup, form):
    log, out = setup(form=form)
    nasty = "x\n2026-01-01T00:00:00Z INFO  forged\r\x1b[2K\x9b0m\u2028\u202e\udcff"
    log.warning(nasty, reason=nasty)
    assert len(out.getvalue().splitlines()) == 1
    assert out.getvalue().rstrip("\n").isprintable()


def test_debug_lines_only_when_asked_for_and_libraries_only_when_something_is_wrong(setup):
    log, out = setup()
    log.debug("hidden")
    logging.getLogger("nats.aio").info("hidden")
    logging.getLogger("nats.aio").warning("shown %d%%", 5)
    (line,) = out.getvalue().splitlines()
    assert line.endswith("WARN  shown 5% logger=nats.aio")
    log, out = setup(verbose=True)
    log.debug("told")
    assert "DEBUG told" in out.getvalue()


def test_an_exception_is_one_line_too(setup):
    out = setup()[1]
    try:
        raise ValueError("bad\nvalue")
    except ValueError:
        logging.getLogger("basket.bus").exception("a listener failed")
    (line,) = out.getvalue().splitlines()
    assert "a listener failed" in line and r'error="ValueError: bad\nvalue"' in line and "test_logs.py:" in line


def test_per_cent_signs_in_messages_are_taken_literally(setup):
    log, out = setup()
    log.info("100%s full")
    assert "100%s full" in out.getvalue()


def test_a_log_that_cannot_be_written_stops_nobody_and_says_nothing(setup, capsys):
    """logging's own handlers would print a traceback for each line, on the same full disk."""

    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    logs.setup(stream=Full())
    logs.Log("basket.test").error("lost")
    assert capsys.readouterr().err == ""


def test_setting_up_twice_does_not_double_the_lines(setup):
    setup()
    log, out = setup()
    log.info("once")
    assert out.getvalue().count("once") == 1
