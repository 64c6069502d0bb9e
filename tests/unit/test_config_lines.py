"""An error names the line where the key stands, however the file is written."""

from __future__ import annotations

from typing import Any, Iterator, Tuple

import pytest
import tomli
from hypothesis import example, given
from hypothesis import strategies as st

from basket.config.lines import key_lines, line_of

TEXT = '''# a comment with [brackets] = "and quotes
top = 1
a.b."c.d" = 2          # line 3

[nats]
url = [
    "nats://a",        # ] } "
    "nats://b", 'nats://c',
]
long = """
[not.a.table]
key = 1 \\"""
"""  # line 13
raw = \'\'\'
''quoted''
\'\'\'\'
tls = { ca = "x", "c\\u0065rt" = { deep = [1, { x = 1 }] } }
[ a . "x y" ]
z = 1979-05-27 07:32:00Z
[[template]]
source = "1"
[[template]]
source = "2"
[template.sub]
k = true
[[template.list]]
m = 1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("a", "b", "c.d"), 3),
        (("nats",), 5),
        (("nats", "url"), 6),
        (("nats", "url", 0), 7),
        (("nats", "url", 2), 8),
        (("nats", "long"), 10),
        (("nats", "raw"), 14),
        (("nats", "tls"), 17),
        (("nats", "tls", "cert"), 17),
        (("nats", "tls", "cert", "deep", 1, "x"), 17),
        (("a", "x y"), 18),
        (("a", "x y", "z"), 19),
        (("template",), 20),
        (("template", 0), 20),
        (("template", 0, "source"), 21),
        (("template", 1), 22),
        (("template", 1, "source"), 23),
        (("template", 1, "sub", "k"), 25),
        (("template", 1, "list", 0, "m"), 27),
    ],
)
def test_lines(path: Tuple[Any, ...], line: int) -> None:
    tomli.loads(TEXT)  # or this test proves nothing
    assert key_lines(TEXT)[path] == line
    assert key_lines(TEXT.replace("\n", "\r\n"))[path] == line


def test_what_is_missing_has_the_line_of_what_is_around_it() -> None:
    found = key_lines(TEXT)
    assert line_of(found, ("nats", "tls", "key")) == 17
    assert line_of(found, ("nats", "nothing")) == 5
    assert line_of(found, ("nothing",)) is None


def paths(value: Any, above: Tuple[Any, ...] = ()) -> Iterator[Tuple[Any, ...]]:
    items: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield above + (key,)
        yield from paths(inner, above + (key,))


def test_every_key_is_found() -> None:
    assert set(paths(tomli.loads(TEXT))) <= set(key_lines(TEXT))


@given(st.text() | st.text("[]{}=.,#\"'\\\n ab1", max_size=40))
@example('"\\q" = 1')
def test_junk_ends_without_an_error(text: str) -> None:
    key_lines(text)


_keys = st.sampled_from(["a", "b.c", "é", 'q"', "x y", ""])
_values = st.recursive(
    st.sampled_from(["1", "true", '"s]"', "'#}'", '"""m\n"q"""', "1.5", "1979-05-27"]),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda items: "[" + ",\n # c ]\n".join(items) + "]")
        | st.dictionaries(_keys, inner, max_size=3).map(
            lambda table: "{" + ", ".join(f"{quoted(key)} = {value}" for key, value in table.items()) + "}"
        )
    ),
    max_leaves=6,
)


def quoted(key: str) -> str:
    return '"' + key.replace('"', '\\"') + '"'


@given(st.dictionaries(_keys, _values, max_size=4))
def test_whatever_the_parser_accepts_is_understood(table: Any) -> None:
    text = "".join(f"{quoted(key)} = {value}\n" for key, value in table.items())
    try:
        data = tomli.loads(text)
    except tomli.TOMLDecodeError:
        return  # a multi-line string inside an inline table, for older parsers
    assert set(paths(data)) == set(key_lines(text))
