"""Four outcomes kept apart, and errors that say where: template, line, target, function."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from template_fakes import FakeBasket

from basket.errors import (
    BasketError,
    ConfigError,
    JetStreamError,
    RefusedValuesError,
    TemplateError,
    TooFewError,
    UnreachableError,
)
from basket.template import Renderer, rendering

LIST = "{% for e in basket('role:web', 'network.ip_addrs'MORE) %}\n{{ e.peel_id }} {{ e.value }}\n{% endfor %}\n"


@pytest.fixture
def template(tmp_path):
    path = tmp_path / "t.j2"

    def make(text, *, more=""):
        path.write_text(text.replace("MORE", more))
        return str(path)

    return make


def addresses(**values):
    return FakeBasket({"network.ip_addrs": {name.replace("_", "-"): value for name, value in values.items()}})


def test_values_become_a_file_with_blocks_trimmed_and_the_final_newline_kept(template):
    source = template("a\n  {% for e in basket('*', 'network.ip_addrs') %}\n  {{ e.peel_id }} {{ e.value }}\n  {% endfor %}\nb\n")
    assert (
        Renderer(addresses(web_01="10.0.0.1", web_02="10.0.0.2")).text(source) == "a\n  web-01 10.0.0.1\n  web-02 10.0.0.2\nb\n"
    )


# -- nothing matches; matched, but no data ----------------------------------------------------------


def test_nothing_there_renders_unless_min_says_otherwise(template):
    assert Renderer(FakeBasket()).text(template(LIST)) == ""
    assert Renderer(FakeBasket(matching=3)).text(template(LIST)) == ""
    with pytest.raises(
        TooFewError, match=r"t.j2:1: basket\('role:web', 'network.ip_addrs'\): no peel matches, at least 1 needed"
    ):
        Renderer(FakeBasket()).text(template(LIST, more=", min=1"))
    with pytest.raises(TooFewError, match="3 peels match, none has data that counts, at least 2 needed"):
        Renderer(FakeBasket(matching=3)).text(template(LIST, more=", min=2"))
    with pytest.raises(TooFewError, match="1 entry, at least 2 needed"):
        Renderer(addresses(web_01="10.0.0.1")).text(template(LIST, more=", min=2"))


def test_which_queries_were_empty_is_known(template):
    attempt = Renderer(FakeBasket(matching=3)).attempt(template(LIST))
    assert {str(query): matched for query, matched in attempt.empty.items()} == {"basket('role:web', 'network.ip_addrs')": 3}


# -- undecodable, or refused ------------------------------------------------------------------------


def test_one_bad_value_is_left_out_and_reported(template):
    # One hostile peel must not be able to keep the others out of the file.
    basket = addresses(web_01="10.0.0.1", web_02="evil\nline", web_03=ValueError("7 bytes that are not MessagePack"))
    attempt = Renderer(basket, expect={"network.ip_addrs": "ip"}).attempt(template(LIST))
    assert attempt.text == "web-01 10.0.0.1\n"
    assert [str(one) for one in attempt.dropped] == [
        "network.ip_addrs of web-02 is no IP address: 'evil\\nline'",
        "network.ip_addrs of web-03 cannot be decoded: 7 bytes that are not MessagePack",
    ]


@pytest.mark.parametrize("value", [ValueError("cannot be read"), "evil"])
@pytest.mark.parametrize("more", ["", ", min=0", ", min=1"])
def test_nothing_but_bad_values_is_no_empty_list(template, value, more):
    # Were it one, whoever can garble the values could empty an allow list.
    basket = addresses(web_01=value, web_02=value)
    with pytest.raises(RefusedValuesError, match=r"0 of 2 values can be used.*web-01"):
        Renderer(basket, expect={"network.ip_addrs": "ip"}).text(template(LIST, more=more))


def test_bad_values_do_not_count_towards_min(template):
    basket = addresses(web_01="10.0.0.1", web_02="evil")
    with pytest.raises(
        RefusedValuesError, match=r"1 of 2 values can be used, at least 2 needed; network.ip_addrs of web-02 is no"
    ):
        Renderer(basket, expect={"network.ip_addrs": "ip"}).text(template(LIST, more=", min=2"))


# -- the server -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [UnreachableError("no connection to 127.0.0.1:4222"), JetStreamError("not enabled", code=10039)]
)
def test_a_server_that_cannot_be_asked_is_no_empty_list_and_keeps_its_kind(template, error):
    basket = FakeBasket()
    basket.fails = error
    with pytest.raises(type(error)) as caught:
        Renderer(basket).text(template(LIST))
    assert str(caught.value).endswith(f"t.j2:1: basket('role:web', 'network.ip_addrs'): {error}")
    assert getattr(caught.value, "code", None) == getattr(error, "code", None)


# -- mistakes ---------------------------------------------------------------------------------------

ALL = "{% set l = basket('*', 'network.ip_addrs') %}\n\n"


@pytest.mark.parametrize(
    "text,told",
    [
        ("a\n{{ nope }}", ":2: 'nope' is undefined"),
        (ALL + "{{ l[0].valu }}", ":3: an entry has no attribute 'valu' (asked: basket('*', 'network.ip_addrs'))"),
        (ALL + "{{ l[5] }}", ":3: list object has no element 5"),
        (ALL + "{{ l[0].value.port }}", ":3: 'str object' has no attribute 'port'"),
        ("{{ facts.nope }}", ":1: facts has no attribute 'nope'"),
        ("a\n{% for %}", ":2: Expected an expression"),
        ("a\n{% if x %}\n", ":2: Unexpected end of template"),
        ("{{ 1 | nofilter }}", ":1: No filter named 'nofilter'"),
        ("a\nb\n{{ 1 / 0 }}", ":3: ZeroDivisionError"),
        ("a\n{% include 'b.j2' %}", ":2: there is no template 'b.j2' in the same directory"),
        ("{% include '/etc/passwd' %}", ":1: there is no template"),
        ("{% include '../t.j2' %}", ":1: there is no template"),
        ("{{ ''.__class__.__mro__ }}", ":1: access to attribute '__class__' of 'str' object is unsafe"),
        ("{{ basket('*') }}", ":1: TypeError: basket() missing 1 required positional argument: 'function'"),
        ("{{ basket('*', 'a', maxage=3) }}", ":1: TypeError: basket() got an unexpected keyword argument 'maxage'"),
        ("{{ basket('*', 5) }}", ":1: basket(): function is a string, not 5"),
        ("{{ basket('*', 'a', max_age='5 parsecs') }}", ":1: basket('*', 'a'): max_age: '5 parsecs' is not a duration"),
        ("{{ basket('*', 'a', min=-1) }}", ":1: basket('*', 'a'): min is a whole number"),
        ("{{ basket('*', 'a', min=true) }}", ":1: basket('*', 'a'): min is a whole number"),
        (ALL + "{{ l[0].value | port }}", ":3: the value of network.ip_addrs from peel web-01 (target '*') is no port"),
        (ALL + "{{ l[0].value | hostname }}", ":3: the value of network.ip_addrs from peel web-01 (target '*') is no host name"),
    ],
)
def test_a_mistake_is_told_with_file_and_line(template, text, told):
    source = template(text)
    with pytest.raises(TemplateError) as caught:
        Renderer(addresses(web_01="10.0.0.1")).text(source)
    assert str(caught.value).startswith(source + told)
    assert str(caught.value).isprintable()


def test_a_mistake_in_an_included_file_is_told_with_that_file(template, tmp_path):
    (tmp_path / "part.j2").write_text("x\n{{ nope }}\n")
    source = template("{% include 'part.j2' %}")
    attempt = Renderer(FakeBasket()).attempt(source)
    assert str(attempt.error).startswith(f"{tmp_path}/part.j2:2: ")
    assert attempt.sources == (source, f"{tmp_path}/part.j2"), "both are watched from here on"


def test_what_is_no_template_is_told(tmp_path):
    for path, told in (("none.j2", "there is no such template"), (".", "no regular file")):
        with pytest.raises(TemplateError, match=told):
            Renderer(FakeBasket()).text(str(tmp_path / path))
    (tmp_path / "latin.j2").write_bytes("Größe".encode("latin-1"))
    with pytest.raises(TemplateError, match="is not UTF-8: byte 0xf6"):
        Renderer(FakeBasket()).text(str(tmp_path / "latin.j2"))


@pytest.mark.parametrize(
    "content,told",
    [
        (b"a\n{% for %}", ":2: Expected an expression"),
        ("Größe".encode("latin-1"), ": is not UTF-8: byte 0xf6"),
        (None, ": there is no such template"),
    ],
)
def test_what_is_found_without_rendering_is_told_in_the_same_words(tmp_path, content, told):
    from basket.template.environment import parse

    path = tmp_path / "t.j2"
    if content is not None:
        path.write_bytes(content)
    messages = []
    for use in (parse, Renderer(FakeBasket()).text):
        with pytest.raises(TemplateError) as caught:
            use(str(path))
        messages.append(str(caught.value))
    assert messages[0] == messages[1] and messages[0].startswith(f"{path}{told}")


def test_a_pipe_is_not_waited_for(tmp_path):
    from basket.template.environment import parse

    os.mkfifo(tmp_path / "t.j2")
    with pytest.raises(TemplateError, match="is no regular file"):
        parse(str(tmp_path / "t.j2"))


def test_a_target_that_cannot_be_read_is_a_mistake_of_the_template(template):
    basket = FakeBasket()
    from basket.target import parse

    try:
        parse("web* and")
    except BasketError as error:
        basket.fails = error
    with pytest.raises(TemplateError, match=r"t.j2:1: basket\('web\* and', 'a'\): bad target"):
        Renderer(basket).text(template("{{ basket('web* and', 'a') }}"))


# -- the rest ---------------------------------------------------------------------------------------


def test_the_same_question_is_asked_once_in_a_file(template):
    basket = addresses(web_01="10.0.0.1")
    asked = "basket('*', 'network.ip_addrs')"
    text = f"{{{{ {asked} | length }}}} {{% set x = {asked} %}}{{{{ x.pop() and '' }}}}{{{{ {asked} | length }}}}"
    assert Renderer(basket).text(template(text)) == "1 1", "and what a template does to one list does not show in the next"
    assert len(basket.calls) == 1


def test_options_reach_the_query(template):
    basket = FakeBasket()
    Renderer(basket).text(template("{{ basket('*', 'a', max_age='10m', online_only=true) | length }}"))
    assert basket.calls[0][2]["max_age"] == 600.0 and basket.calls[0][2]["online_only"] is True


def test_no_attribute_of_ours_hides_a_fact(template):
    names = ["used", "known", "collect", "all"]
    text = template(" ".join(f"{{{{ facts.{name} }}}}" for name in names))
    assert Renderer(FakeBasket(), facts=lambda: {name: name.upper() for name in names}).text(text) == "USED KNOWN COLLECT ALL"


def test_facts_are_collected_only_where_a_template_looks_at_them(template, tmp_path):
    looks = []

    def facts():
        looks.append(1)
        return {"os": {"name": "linux"}, "roles": ["a", "b"]}

    assert not Renderer(FakeBasket(), facts=facts).attempt(template("x")).facts and not looks
    (tmp_path / "m.j2").write_text("{% macro name() %}{{ facts.os.name }}{% endmacro %}")
    attempt = Renderer(FakeBasket(), facts=facts).attempt(template("{% import 'm.j2' as m %}{{ m.name() }} {{ facts.roles[1] }}"))
    assert attempt.text == "linux b" and attempt.facts and len(looks) == 1


def test_without_jinja_it_says_what_to_install(template, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"zester-basket\[template\]"):
        Renderer(FakeBasket()).text(template("x"))


def test_expectations_are_checked_when_the_renderer_is_made():
    with pytest.raises(ConfigError, match="no known type"):
        Renderer(FakeBasket(), expect={"a": "adress"})


def test_nothing_of_jinja_is_loaded_before_something_is_rendered():
    # The agent without templates stays light.
    code = "import sys, basket.template, basket.template.live, basket.template.delivery; print('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
    assert rendering.Renderer is Renderer
