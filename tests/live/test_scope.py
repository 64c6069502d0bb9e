"""The configured scope: and-ed as a tree with everything that is asked, turned off or replaced only by who says so."""

from __future__ import annotations

import threading

import pytest
from watching import empty, raw

import basket
from basket.codec import encode

FACTS = {
    "web-01": {"cluster": "a", "role": "web"},
    "web-02": {"cluster": "b", "role": "web"},
    "db-01": {"cluster": "a", "role": "db"},
    "db-02": {"cluster": "b", "role": "db"},
}


@pytest.fixture
def url(shared_server):
    with basket.connect(shared_server.url, peel_id="other-01") as b:
        empty(b)
        for peel_id, document in FACTS.items():
            raw(b, peel_id, encode(document), "facts")
            raw(b, f"{peel_id}.n.ip", encode(peel_id))
        raw(b, "factless-01.n.ip", encode("factless-01"))
    return shared_server.url


@pytest.fixture
def connect(url, tmp_path):
    """A Basket as a configuration makes it."""
    made = []

    def connect(scope, *, cluster="a", groups=""):
        file = tmp_path / f"basket-{len(made)}.toml"
        file.write_text(
            f'[peel]\nid = "lb-01"\nstate = "{tmp_path}"\n[nats]\nurl = "{url}"\n[basket]\nscope = \'{scope}\'\n'
            f'[facts]\ncustom = {{ cluster = "{cluster}", site = {{ name = "west" }} }}\n[nodegroups]\n{groups}\n'
        )
        made.append(basket.connect(config=str(file)))
        return made[-1]

    yield connect
    for b in made:
        b.close()


def ids(entries):
    return [e.peel_id for e in entries]


def test_it_holds_for_both_branches_of_an_or(connect):
    b = connect("G@cluster:a")
    assert ids(b.get("web* or db*", "n.ip")) == ["db-01", "web-01"]
    assert b.peels("web* or db*") == ["db-01", "web-01"]
    assert ids(b.get("not web*", "n.ip")) == ["db-01"]
    assert ids(b.get("*", "n.ip")) == ["db-01", "web-01"]
    assert [peel.peel_id for peel in b.peel_info()] == ["db-01", "web-01"]
    assert ids(b.get("web-02", "n.ip")) == [], "a peel named outright is in scope or not like any other"
    assert ids(b.get(["web-01", "web-02"][1], ["n.ip"])["n.ip"]) == []


def test_a_scope_that_is_an_or_itself_is_one_part_of_the_and(connect):
    b = connect("web-01 or db*")
    assert ids(b.get("G@cluster:b", "n.ip")) == ["db-02"]
    assert ids(b.get("web*", "n.ip")) == ["web-01"]


def test_a_watch_and_a_mirror_are_in_scope_too(connect):
    b = connect("G@cluster:a")
    with b.watch("web* or db*", "n.ip") as changes:
        assert [changes.wait(2).peel_id, changes.wait(2).peel_id] == ["db-01", "web-01"]
        assert changes.wait(0.1) is None
    b.mirror()
    assert ids(b.get("web* or db*", "n.ip")) == ["db-01", "web-01"]
    assert b.peels("web* or db*") == ["db-01", "web-01"]
    assert ids(b.get("web* or db*", "n.ip", scope="")) == ["db-01", "db-02", "web-01", "web-02"]


@pytest.mark.parametrize("off", ["", "  "])
def test_a_call_can_turn_it_off(connect, off):
    b = connect("G@cluster:a")
    assert ids(b.get("*", "n.ip", scope=off)) == ["db-01", "db-02", "factless-01", "web-01", "web-02"]
    assert b.peels("web*", scope=off) == ["web-01", "web-02"]


def test_a_call_can_have_another(connect):
    b = connect("G@cluster:a", groups='b_side = "G@cluster:b"')
    assert ids(b.get("*", "n.ip", scope="G@cluster:b")) == ["db-02", "web-02"]
    assert b.peels("web*", scope="N@b_side") == ["web-02"]
    with pytest.raises(basket.TargetError):
        b.get("*", "n.ip", scope="G@cluster")


def test_facts_of_this_peel_are_filled_in(connect):
    assert connect("G@cluster:{{ facts.cluster }}").peels() == ["db-01", "web-01"]
    assert connect("G@cluster:{{ facts.cluster }}", cluster="b").peels() == ["db-02", "web-02"]
    b = connect("G@cluster:{{facts.cluster}} and not G@nothing:{{ facts.site.name }}")
    assert b.peels() == ["db-01", "web-01"]


def test_a_fact_that_is_missing_is_an_error_with_its_name_and_not_everyone(connect):
    b = connect("G@cluster:{{ facts.no_such_fact }}")
    for ask in (
        lambda: b.get("*", "n.ip"),
        lambda: b.peels(),
        lambda: b.watch("*", "n.ip"),
        lambda: b.peel_info(),
        lambda: b.scope,
    ):
        with pytest.raises(basket.ConfigError, match="no_such_fact"):
            ask()
    assert ids(b.get("web-01", "n.ip", scope="")) == ["web-01"], "who turns it off does not need it"
    assert b.value("web-01", "n.ip") == "web-01"


def test_named_groups_may_stand_in_scope_and_target(connect):
    b = connect("N@ours", groups='ours = "G@cluster:a"\nfront = "role:web or N@extra"\nextra = "L@db-01,db-02"')
    assert b.peels("N@front") == ["db-01", "web-01"]
    assert ids(b.get("N@extra and not N@front", "n.ip")) == []
    with pytest.raises(basket.TargetError):
        b.get("N@unknown", "n.ip")


def test_no_scope_is_everyone(connect):
    assert connect("").scope is None
    assert len(connect("").peels()) == 5


def test_another_scope_holds_from_the_next_query_on(connect):
    b = connect("G@cluster:a")
    assert b.peels() == ["db-01", "web-01"]
    asked = []
    b.rescope("G@cluster:{{ facts.c }}", {}, lambda scope: asked.append(scope) or "G@cluster:b")
    assert asked == [], "facts are collected when they are needed"
    assert b.peels() == ["db-02", "web-02"]
    assert b.peels("web*") == ["web-02"]
    assert asked == ["G@cluster:{{ facts.c }}"]


def test_a_scope_of_the_caller_may_name_facts_too(connect):
    b = connect("", cluster="b")
    assert b.peels(scope="G@cluster:{{ facts.cluster }}") == ["db-02", "web-02"]
    assert ids(b.get("web*", "n.ip", scope="G@cluster:{{ facts.cluster }}")) == ["web-02"]
    with pytest.raises(basket.ConfigError, match="no fact 'none'"):
        b.peels(scope="G@cluster:{{ facts.none }}")


def test_a_scope_read_while_another_is_set_does_not_outlive_it(connect):
    """The thread that was filling in the old one must not have the last word."""
    b = connect("")
    reading, go_on = threading.Event(), threading.Event()

    def slow(scope):
        reading.set()
        assert go_on.wait(5)
        return "G@cluster:a"

    b.rescope("slow", {}, slow)
    thread = threading.Thread(target=lambda: b.scope)
    thread.start()
    assert reading.wait(5)
    b.rescope("G@cluster:b", {}, str)
    go_on.set()
    thread.join(5)
    assert str(b.scope) == "G@cluster:b"
