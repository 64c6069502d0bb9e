"""Values from other machines cannot inject: however a template prints one that holds a line break, it is refused."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime, timezone

import pytest
from template_fakes import FakeBasket

from basket import codec, jsonform
from basket.errors import RefusedValuesError, TemplateError, UnprintableError
from basket.template import Renderer

EVIL = "10.0.0.1\n    server evil 203.0.113.66:80"

PRINTED = [
    "{{ v }}",
    "{{ v ~ ':80' }}",
    "{{ ':80' ~ v }}",
    "{{ 'x' + v }}",
    "{{ v + 'x' }}",
    "{{ v * 2 }}",
    "{{ '%s' % v }}",
    "{{ 'a %s %s' % (1, v) }}",
    "{{ v % 1 }}",
    "{{ '%s' | format(v) }}",
    "{{ '{}'.format(v) }}",
    "{{ '{a}'.format_map({'a': v}) }}",
    "{{ v.format() }}",
    "{{ ','.join([v]) }}",
    "{{ ','.join(deep.list) }}",
    "{{ [v] | join(',') }}",
    "{{ l | map(attribute='value') | join(',') }}",
    "{{ l | join(',', attribute='value') }}",
    "{{ l | map(attribute='value') | map('string') | join }}",
    "{{ v | upper }}",
    "{{ v.upper() }}",
    "{{ v | trim }}",
    "{{ v | string }}",
    "{{ v | e }}",
    "{{ v | replace('a', 'b') }}",
    "{{ 'a' | replace('a', v) }}",
    "{{ 'a'.replace('a', v) }}",
    "{{ v[0:80] }}",
    "{{ v[8] }}",
    "{{ v | first }}",
    "{{ v | list }}",
    "{{ v | reverse | join }}",
    "{{ v | truncate(200) }}",
    "{{ v | wordwrap(10) }}",
    "{{ v | indent }}",
    "{{ v | center }}",
    "{{ v | urlencode }}",
    "{{ v | shell_quote }}",
    "{{ v | default('x') }}",
    "{% for c in v %}{{ c }}{% endfor %}",
    "{% set x = v %}{{ x }}",
    "{% set x %}{{ v }}{% endset %}{{ x }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(v) }}",
    "{% filter upper %}{{ v }}{% endfilter %}",
    "{% include v %}",
    "{{ l }}",
    "{{ l[0] }}",
    "{{ [v] }}",
    "{{ {'a': v} }}",
    "{{ deep }}",
    "{{ deep.list[0] }}",
    "{{ deep['map'].key }}",
    "{% for key in deep['keys'] %}{{ key }}{% endfor %}",
    "{% for key, item in deep['map'] | dictsort %}{{ item }}{% endfor %}",
    "{{ deep['map'] | xmlattr }}",
    "{{ deep['map'] | urlencode }}",
]
HIDDEN = [
    "{{ v._text }}",
    "{% for a in basket.answers.values() %}{% for e in a.entries %}{{ e.value }}{% endfor %}{% endfor %}",
    "{{ basket.__self__.answers }}",
    "{{ basket | attr('__self__') }}",
    "{{ v.__class__ }}",
    "{{ v | attr('_text') }}",
    "{{ v.__init__.__globals__ }}",
    "{{ v | ip }}",
]
SET = "{% set l = basket('*', 'f') %}{% set v = l[0].value %}{% set deep = basket('*', 'deep')[0].value %}"


def deep(text):
    return {"list": [text], "map": {"key": text}, "keys": {text: 1}, "value": text}


def render(tmp_path, body, text=EVIL, **options):
    source = tmp_path / "t.j2"
    source.write_text(SET + "\n" + body)
    nested = deep(text) if isinstance(text, str) else None
    basket = FakeBasket({"f": {"web-01": text, "web-02": "ok"}, "deep": {"web-01": nested}})
    return Renderer(basket, **options).text(str(source))


@pytest.mark.parametrize("body", PRINTED)
def test_a_line_break_does_not_get_out(tmp_path, body):
    with pytest.raises(UnprintableError) as caught:
        render(tmp_path, body)
    told = str(caught.value)
    assert told.startswith(f"{tmp_path}/t.j2:2: "), "file and line of the template"
    assert "from peel web-01 (target '*')" in told and ("value of f " in told or "value of deep " in told)
    assert "line break" in told and "multiline" in told and "\n" not in told


@pytest.mark.parametrize("body", PRINTED)
def test_the_same_works_with_a_plain_value(tmp_path, body):
    # Else the test above would pass for a template that can never be rendered.
    if body in ("{% include v %}", "{{ v % 1 }}"):
        return
    render(tmp_path, body, text="10.0.0.1 server")


@pytest.mark.parametrize("body", HIDDEN)
def test_nobody_reaches_behind_it(tmp_path, body):
    with pytest.raises(TemplateError):
        print(render(tmp_path, body))


@pytest.mark.parametrize("char", ["\n", "\r", "\0", "\x1b", "\t", "\x0b", "\x7f", "\x85", "\x9b", "\u2028", "\u2029"])
def test_every_control_character_is_meant(tmp_path, char):
    with pytest.raises(UnprintableError):
        render(tmp_path, "{{ v }}", text=f"a{char}b")


@pytest.mark.parametrize(
    "text", ["Größe", "日本語", "a\u200db", "x" * 10000, "", "{{ 7 * 7 }}", "{% include 'x' %}", "%s", "{0}"]
)
def test_other_text_is_printed_as_it_is_and_never_evaluated(tmp_path, text):
    assert render(tmp_path, "{{ v }}", text=text) == text
    assert render(tmp_path, "{{ 'x%sx' % v }}", text=text) == f"x{text}x"


def test_multiline_lets_it_through_wherever_it_stands(tmp_path):
    assert render(tmp_path, "{{ v | multiline }}") == EVIL
    assert render(tmp_path, "{{ (v | multiline).splitlines() | length }}") == "2"
    assert render(tmp_path, "{{ (deep | multiline)['map'].key }}") == EVIL
    assert render(tmp_path, "{{ v | multiline | replace('\n', ' ') }}") == EVIL.replace("\n", " ")


def test_the_templates_own_line_breaks_need_nothing(tmp_path):
    assert render(tmp_path, "{{ [l[1].value, 'b'] | join('\\n') }}{{ '\\n' }}") == "ok\nb\n"


def test_json_escapes_it(tmp_path):
    text = 'a\n"b"\x7f\u2028é'
    assert json.loads(render(tmp_path, "{{ deep | json }}", text=text)) == deep(text)
    assert render(tmp_path, "{{ v | json }}", text=text).isascii()
    assert render(tmp_path, "{{ v | tojson }}", text="<&>") == '"<&>"'


def test_json_has_the_form_that_the_command_prints(tmp_path):
    moment = datetime(2024, 5, 1, 12, 0, 0, 500000, tzinfo=timezone.utc)
    value = {"at": moment, "bytes": b"\x00\xff", 8.0: 8.0, 1e6: [], 1: (1, None), "1": True, None: {False: 0.5}}
    shown = render(tmp_path, "{{ v | json }}", text=value)
    assert json.loads(shown) == jsonform.plain(value)
    assert '"2024-05-01T12:00:00.5Z"' in shown and '"1e+06"' in shown and '"8"' in shown and '"1 (int)"' in shown
    for refused in (float("nan"), float("inf"), {float("nan"): 1}, object()):
        with pytest.raises(RefusedValuesError, match="cannot be written as JSON"):
            render(tmp_path, "{{ v | json }}", text=refused)


def test_it_can_be_looked_at_without_being_printed(tmp_path):
    body = "{{ v == 'x' }} {{ 'evil' in v }} {{ v | length }} {{ v is string }} {{ l | sort(attribute='value') | length }}"
    assert render(tmp_path, body) == f"False True {len(EVIL)} True 2"
    assert render(tmp_path, "{{ 'yes' if v in deep.list and v in deep['keys'] }}") == "yes"


def test_a_word_for_the_shell_is_one_word(tmp_path):
    text = "a'; touch /tmp/x; echo $(id) `id` \\"
    word = render(tmp_path, "{{ v | shell_quote }}", text=text).strip("\n")
    shown = subprocess.run(["sh", "-c", f"printf %s {word}"], capture_output=True, text=True, check=True)
    assert shown.stdout == text


def test_own_facts_are_guarded_too(tmp_path):
    with pytest.raises(UnprintableError, match="this peel's fact motd holds a line break"):
        render(tmp_path, "{{ facts.motd }}", facts=lambda: {"motd": "a\nb"})


def test_a_value_as_deep_as_one_can_be_stored_is_looked_through(tmp_path):
    nested = EVIL
    for _ in range(codec.MAX_DEPTH - 1):
        nested = [nested]
    nested = codec.decode(codec.encode(nested))
    renderer, source = Renderer(FakeBasket({"f": {"web-01": nested}})), tmp_path / "t.j2"
    source.write_text("{{ basket('*', 'f')[0].value }}")
    with pytest.raises(UnprintableError):
        renderer.text(str(source))
    source.write_text("{{ basket('*', 'f')[0].value | json }}")
    assert json.loads(renderer.text(str(source))) == nested
