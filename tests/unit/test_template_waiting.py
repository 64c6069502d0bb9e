"""When a template is rendered, what is believed after a loss, and what is said while it waits: all without waiting."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest

from basket.entry import Entry
from basket.errors import RefusedValuesError, TooFewError, UnreachableError
from basket.template.asking import Answer, Dropped, Query
from basket.template.believing import REFILL, Held, Memory, Stored
from basket.template.complaints import PATIENCE, Complaints
from basket.template.interest import Interest
from basket.template.rendering import Attempt
from basket.template.waiting import Due


def test_a_burst_is_rendered_once_after_the_quiet_time():
    due = Due(1.0, 10.0)
    assert due.at() is None
    for now in (100.0, 100.4, 100.8):
        due.changed(now)
    assert due.at() == 101.8
    due.take()
    assert due.at() is None


def test_changes_that_never_cease_are_rendered_at_the_most_that_late():
    due = Due(1.0, 10.0)
    for tenth in range(200):
        due.changed(100.0 + tenth / 2)
    assert due.at() == 110.0


def test_a_change_during_the_rendering_is_for_the_next():
    due = Due(1.0, 10.0)
    due.changed(100.0)
    due.take()
    due.changed(105.0)
    assert due.at() == 106.0


def test_an_attempt_that_was_planned_comes_even_where_nothing_changes_and_never_before_the_settling():
    due = Due(1.0, 10.0)
    due.soon(50.0)
    due.soon(40.0)
    assert due.at() == 40.0
    due.settle(45.0)
    assert due.at() == 45.0
    due.take()
    due.changed(60.0)
    assert due.at() == 61.0


# -- after a wipe -----------------------------------------------------------------------------------

QUERY = Query("*", "a")


def attempt(*peels):
    entries = tuple(Entry(peel, "a", "v", 1, 1, None, None) for peel in peels)
    return Attempt("", None, (), False, (QUERY,), {QUERY: Answer(entries, (), None)})


class Store:
    def __init__(self):
        self.now = 0.0
        self.made = "monday"
        self.memory = Memory(lambda: self.now, lambda: Stored(Held(self.made, 5), Held("f", 5)))

    def render(self, *peels):
        self.memory.doubt(attempt(*peels))
        self.memory.written(attempt(*peels))


@pytest.fixture
def store():
    store = Store()
    store.render("web-01", "web-02", "web-03")
    return store


def test_who_leaves_a_bucket_that_is_the_same_has_left(store):
    store.render("web-01")
    store.render()


def test_a_wiped_store_empties_nothing_however_long_it_lasts(store):
    store.made = "tuesday"
    for store.now in (0.0, 1000.0, 100000.0):
        with pytest.raises(TooFewError, match="wiped, and gives nothing since; it gave 3 before"):
            store.render()
    assert store.memory.doubting
    store.render("web-01", "web-02", "web-03")
    assert not store.memory.doubting
    store.render()  # in the new bucket, whoever is missing has left


def test_a_store_that_fills_up_again_is_waited_for(store):
    store.made = "tuesday"
    with pytest.raises(TooFewError, match="still without 2 of 3: web-02, web-03"):
        store.render("web-01")
    store.now = REFILL - 1
    with pytest.raises(TooFewError):
        store.render("web-01", "web-02")
    store.render("web-01", "web-02", "web-03", "web-04")


def test_but_not_for_ever(store):
    store.made = "tuesday"
    with pytest.raises(TooFewError):
        store.render("web-01")
    store.now = REFILL
    store.render("web-01")


def test_who_was_empty_before_may_be_empty_after():
    store = Store()
    store.render()
    store.made = "tuesday"
    store.render()


# -- what is said -----------------------------------------------------------------------------------


@pytest.fixture
def said(caplog):
    caplog.set_level(logging.INFO, "basket")
    return lambda: [
        (record.getMessage(), record.fields.get("waits_for") or record.fields.get("reason")) for record in caplog.records
    ]


def test_a_mistake_is_told_at_once_and_once(said):
    complaints = Complaints("/etc/hosts")
    for now in (0.0, 1.0, 50.0):
        complaints.failed(RefusedValuesError("no value can be used"), now)
        complaints.tell(now)
    assert said() == [("cannot be brought up to date, stays as it is", "no value can be used")]
    complaints.worked()
    complaints.worked()
    assert said()[1:] == [("up to date again", None)]


def test_what_may_pass_by_itself_is_told_after_ten_seconds(said):
    complaints = Complaints("/etc/hosts")
    complaints.failed(UnreachableError("no connection"), 100.0)
    complaints.tell(100.0 + PATIENCE - 0.1)
    assert not said() and complaints.tells_at() == 110.0
    complaints.tell(110.0)
    complaints.failed(UnreachableError("no connection"), 111.0)
    complaints.tell(130.0)
    assert said() == [("waiting, stays as it is", "no connection")]
    complaints.failed(TooFewError("no peel matches"), 131.0)
    complaints.tell(131.0)
    assert said()[1:] == [("waiting, stays as it is", "no peel matches")], "another reason is worth another line"


def test_a_short_trouble_is_not_told(said):
    complaints = Complaints("/etc/hosts")
    complaints.failed(UnreachableError("no connection"), 0.0)
    complaints.worked()
    complaints.tell(100.0)
    assert not said() and complaints.tells_at() is None


def test_a_value_that_is_left_out_is_told_once_with_its_peel(said, caplog):
    complaints = Complaints("/etc/hosts")
    dropped = Dropped("web-01", "a", "is no IP address: 'x'")
    for values in ((dropped,), (dropped,), (), (dropped,)):
        complaints.dropped(values)
    assert len(said()) == 2 and caplog.records[0].fields["peel"] == "web-01"


# -- what is watched --------------------------------------------------------------------------------


class Watched:
    """A Basket that refuses to watch what is in ``refused``."""

    def __init__(self):
        self.refused = {}

    def watch(self, target, function, *, callback):
        if (target, function) in self.refused:
            raise self.refused[target, function]
        return SimpleNamespace(ended=False, stop=lambda: None)


def test_it_says_what_it_has_begun_to_watch():
    # Who depends on that is rendered once more: a watch does not tell what left before it began.
    interest, server = Interest(lambda pair: None, lambda: None), Watched()
    one, two = ("*", "a"), ("*", "b")
    server.refused = {two: UnreachableError("no connection")}
    assert interest.follow(server, [one, two]) == ({one}, False)
    server.refused = {}
    assert interest.follow(server, [one, two]) == ({two}, True)
    assert interest.follow(server, [one, two]) == (set(), True)
    interest.forget()
    assert interest.follow(server, [one]) == ({one}, True), "over another connection it is another watch"
    server.refused = {two: ValueError("bad target")}
    assert interest.follow(server, [one, two]) == (set(), True), "which no later attempt can mend"
