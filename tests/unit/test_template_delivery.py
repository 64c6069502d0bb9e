"""From template to file: check before, reload after and once, and no reload is ever lost."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from template_fakes import FakeBasket

from basket.config import Config, PeelSection, TemplateSection
from basket.errors import CommandFailedError, DestinationError, RefusedValuesError, TooFewError
from basket.template import Renderer, believing
from basket.template.believing import Held, Stored
from basket.template.delivery import deliver, reload
from basket.template.owed import Owed, listed

LIST = "{% for e in basket('*', 'a') %}{{ e.value }}\n{% endfor %}"


class Place:
    def __init__(self, tmp_path):
        self.path = tmp_path
        self.basket = FakeBasket({"a": {"web-01": "one"}})
        self.renderer = Renderer(self.basket)
        self.owed = Owed(str(tmp_path / "state"))
        self.ran = tmp_path / "ran"

    def section(self, name="out", text=LIST, **options):
        source = self.path / f"{name}.j2"
        source.write_text(text)
        return TemplateSection(str(source), str(self.path / name), **options)

    def bring(self, *sections):
        done = [deliver(section, self.renderer, self.owed) for section in sections]
        return done, reload(done, self.owed)

    def runs(self):
        return self.ran.read_text().splitlines() if self.ran.exists() else []

    def command(self, word="run", status=0):
        return ("sh", "-c", f'echo "{word} $0" >> {self.ran}; exit {status}')

    def content(self, name="out"):
        path = self.path / name
        return path.read_text() if path.exists() else None


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(believing, "stored", lambda basket: Stored(Held("t", 1), Held("t", 1)))
    return Place(tmp_path)


def test_check_runs_on_the_staged_file_and_stops_a_bad_one(place):
    good = place.section(check=("grep", "-q", "one", "{path}"), reload=place.command())
    assert place.bring(good)[0][0].error is None and place.content() == "one\n" and len(place.runs()) == 1
    place.basket.values["a"]["web-01"] = "two"
    done, failed = place.bring(good)
    assert isinstance(done[0].error, CommandFailedError) and done[0].error.step == "check" and not failed
    assert "exit status 1" in str(done[0].error) and str(place.path / "out") in str(done[0].error)
    assert place.content() == "one\n" and len(place.runs()) == 1, "nothing replaced, nothing reloaded"
    assert not listed(str(place.path / "state"))


def test_identical_content_runs_nothing(place):
    section = place.section(check=place.command("check"), reload=place.command("reload"))
    place.bring(section)
    place.bring(section)
    assert [line.split()[0] for line in place.runs()] == ["check", "reload"]


def test_one_reload_for_all_that_name_the_same_command(place):
    same = place.command("same")
    sections = [place.section("a", reload=same), place.section("b", reload=same), place.section("c", reload=place.command("c"))]
    _, failed = place.bring(*sections)
    assert not failed and sorted(line.split()[0] for line in place.runs()) == ["c", "same"]


def test_reload_is_told_the_destination(place):
    place.bring(place.section(reload=("sh", "-c", f'echo "$0" >> {place.ran}', "{path}")))
    assert place.runs() == [str(place.path / "out")]


def test_a_failed_reload_is_remembered_by_others_and_done_at_the_next_rendering(place):
    done, failed = place.bring(place.section(reload=place.command(status=3)))
    (error,) = failed.values()
    assert error.step == "reload" and "exit status 3" in str(error)
    assert done[0].changed and place.content() == "one\n", "the file itself is the new one"
    (owing,) = listed(str(place.path / "state"))  # as another process sees it
    assert owing.destination == str(place.path / "out") and "exit status 3" in owing.reason
    # Another process, later: nothing has changed, and still the service has yet to hear of it.
    place.owed = Owed(str(place.path / "state"))
    done, failed = place.bring(place.section(reload=place.command()))
    assert not done[0].changed and not failed and len(place.runs()) == 2
    assert not listed(str(place.path / "state"))
    place.bring(place.section(reload=place.command()))
    assert len(place.runs()) == 2


def test_zester_basket_check_reports_it(place):
    from basket.checking import host

    section = place.section(reload=place.command(status=3))
    config = Config(peel=PeelSection(state=str(place.path / "state")), templates=(section,))
    assert {result.state for result in host.templates(config)} == {"ok"}
    place.bring(section)
    (result,) = [result for result in host.templates(config) if result.state == "FAILED"]
    assert "reload command" in result.what and "failed: exit status 3" in result.what


def test_a_process_killed_between_replacing_and_reloading_owes_the_reload(place):
    deliver(place.section(reload=place.command()), place.renderer, place.owed)  # and no more
    assert place.content() == "one\n" and not place.runs()
    place.owed = Owed(str(place.path / "state"))
    place.bring(place.section(reload=place.command()))
    assert len(place.runs()) == 1


def test_nothing_is_owed_where_nothing_was_replaced(place):
    (place.path / "out").mkdir()
    done, _ = place.bring(place.section(reload=place.command()))
    assert isinstance(done[0].error, DestinationError) and not listed(str(place.path / "state")) and not place.runs()


def test_without_a_state_directory_it_is_remembered_in_memory(place):
    place.owed = Owed(None)
    place.bring(place.section(reload=place.command(status=1)))
    assert place.owed.owes(str(place.path / "out")) and not place.owed.owes(str(place.path / "other"))
    (place.path / "blocked").write_text("a file where the directory would be")
    owed = Owed(str(place.path / "blocked"))
    owed.note("/x", ["true"])
    assert owed.owes("/x")
    owed.settle("/x")
    assert not owed.owes("/x")


def test_a_note_that_cannot_be_read_harms_nobody(place):
    directory = place.path / "state" / "reloads"
    directory.mkdir(parents=True)
    for name, text in (("a.json", "{"), ("b.json", "[]"), ("c.json", json.dumps({"destination": "/x"}))):
        (directory / name).write_text(text)
    assert listed(str(place.path / "state")) == [] == listed(str(place.path / "none"))


def test_a_command_that_hangs_is_ended_with_its_children(place):
    (place.path / "child").write_text("")
    hangs = ("sh", "-c", f"sleep 300 & echo $! > {place.path}/child; wait")
    begun = time.monotonic()
    done, _ = place.bring(place.section(check=hangs, timeout=0.3))
    assert isinstance(done[0].error, CommandFailedError) and "still running after 0.3 s" in str(done[0].error)
    assert time.monotonic() - begun < 5.0 and place.content() is None
    child = f"/proc/{(place.path / 'child').read_text().strip()}/stat"
    # Dead, whether somebody has buried it yet or not.
    assert not os.path.exists(child) or Path(child).read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_command_that_is_not_there_is_told(place):
    done, _ = place.bring(place.section(check=("no-such-command-here",)))
    assert "command not found: no-such-command-here" in str(done[0].error) and place.content() is None
    _, failed = place.bring(place.section(reload=("no-such-command-here",)))
    assert len(failed) == 1 and place.content() == "one\n"


def test_output_of_commands_is_in_the_log_on_one_line(place, caplog):
    place.bring(place.section(check=("sh", "-c", "echo fine; printf 'a\\033[2Jb\\n' >&2; exit 1")))
    (record,) = [record for record in caplog.records if record.getMessage() == "check failed"]
    assert record.fields["output"] == "fine; a\\x1b[2Jb" and record.fields["reason"].startswith("exit status 1")


# -- a basket that looks wiped ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "values,facts,target,kept",
    [
        (0, 5, "*", True),
        (0, 0, "*", True),
        (5, 0, "role:web", True),
        (5, 0, "*", False),
        (5, 5, "role:web", False),
    ],
)
def test_buckets_that_never_held_anything_empty_no_file(place, monkeypatch, values, facts, target, kept):
    # Who leaves deletes, and that leaves a trace; a bucket without any trace is new, or was wiped.
    place.basket.values = {}
    monkeypatch.setattr(believing, "stored", lambda basket: Stored(Held("t", values), Held("t", facts)))
    (place.path / "out").write_text("old")
    done, _ = place.bring(place.section(text=LIST.replace("*", target)))
    assert (place.content() == "old") is kept and isinstance(done[0].error, TooFewError) is kept


def test_where_there_is_nothing_to_lose_an_empty_answer_is_written(place, monkeypatch):
    place.basket.values = {}
    monkeypatch.setattr(believing, "stored", lambda basket: Stored(Held(None, 0), Held(None, 0)))
    place.bring(place.section())
    assert place.content() == ""


# -- the same from a script -------------------------------------------------------------------------


def test_the_api_for_scripts(place, tmp_path):
    config = Config(peel=PeelSection(state=str(tmp_path / "state")))
    renderer = Renderer(place.basket, config=config, expect={"a": "str"})
    source, out = place.section().source, str(tmp_path / "script.out")
    assert renderer.write(source, out, mode=0o600, backup=True) is True
    assert renderer.write(source, out) is False
    assert os.stat(out).st_mode & 0o777 == 0o600
    place.basket.values["a"]["web-01"] = "new"
    with pytest.raises(CommandFailedError):
        renderer.write(source, out, check=["false"])
    with pytest.raises(CommandFailedError) as caught:
        renderer.write(source, out, reload=["false"])
    assert caught.value.step == "reload" and Path(out).read_text() == "new\n" and listed(str(tmp_path / "state"))
    assert renderer.write(source, out, reload=["true"]) is False and not listed(str(tmp_path / "state"))
    place.basket.values["a"]["web-01"] = "evil\n"
    with pytest.raises(RefusedValuesError):
        renderer.write(source, out)
    assert Path(out).read_text() == "new\n"
