"""Functions that other packages add through the entry point group."""

from __future__ import annotations

import sys
import textwrap

import pytest

from basket.config import parse
from basket.errors import ConfigError
from basket.functions import catalogue, define, python, run

PLUGIN = '''
    import os
    open(os.environ["IMPORTED"], "a").write(__name__ + "\\n")

    def position(*, row_offset: int = 0, database="/var/lib/racks.db"):
        """Row and number of this host's rack.

        row_offset: added to the row
        """
        return {"row": 3 + row_offset}

    def needs(rack):
        """Needs an argument."""
        return rack

    def open_minded(**anything):
        return sorted(anything)
'''


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    imported = tmp_path / "imported"
    imported.write_text("")
    monkeypatch.setenv("IMPORTED", str(imported))
    for module, body in {"racks_plugin": PLUGIN, "other_plugin": PLUGIN, "sick_plugin": "raise RuntimeError('sick')\n"}.items():
        (tmp_path / f"{module}.py").write_text(textwrap.dedent(body))
    info = tmp_path / "mysite_racks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mysite-racks\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[zester_basket.functions]\n"
        "rack.position = racks_plugin:position\n"
        "rack.needs = racks_plugin:needs\n"
        "rack.anything = racks_plugin:open_minded [extra]\n"
        "rack.other = other_plugin:position\n"
        "rack.sick = sick_plugin:f\n"
        "network.ip_addrs = other_plugin:position\n"
        "[other.group]\nnot.ours = other_plugin:position\n"
    )
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    return imported


def test_a_plugin_is_defined_and_run_like_a_built_in_one(plugins):
    function = define("rack.position", {"row_offset": 4})
    assert (function.kind, function.what) == ("plugin", "racks_plugin:position")
    assert run(function, timeout=10) == {"row": 7}
    assert run(define("custom.rack", {"function": "rack.position"}), timeout=10) == {"row": 3}
    assert run(define("rack.anything", {"b": 1, "a": 2}), timeout=10) == ["a", "b"]


def test_only_the_named_plugin_is_imported_and_never_in_this_process(plugins):
    define("os.name", {})
    define("network.ip_addrs", {})
    define("x", {"value": 1})
    assert plugins.read_text() == ""
    define("rack.position", {})
    assert plugins.read_text().split() == ["racks_plugin"]
    assert "racks_plugin" not in sys.modules


def test_wrong_arguments_of_a_plugin_are_found_when_the_configuration_is_read(plugins):
    with pytest.raises(ConfigError, match="unknown key 'row_ofset'; nearest known name 'row_offset'"):
        define("rack.position", {"row_ofset": 1})
    with pytest.raises(ConfigError, match=r"rack\.needs \(of mysite-racks\) needs the argument 'rack'"):
        define("rack.needs", {})


def test_a_misspelt_plugin_and_a_broken_one(plugins):
    with pytest.raises(ConfigError, match=r"nearest known name 'rack\.position'"):
        define("rack.positon", {})
    with pytest.raises(ConfigError, match="importing sick_plugin failed: RuntimeError: sick"):
        define("rack.sick", {})
    with pytest.raises(ConfigError, match=r"no function 'not\.ours'"):
        define("not.ours", {})


@pytest.fixture
def asked(monkeypatch):
    """The names of each question to a process of its own."""
    questions, ask = [], python._ask

    def counted(request, timeout):
        questions.append(request["names"])
        return ask(request, timeout)

    monkeypatch.setattr(python, "_ask", counted)
    return questions


def read(text):
    return {one.function.name: one.function for one in parse(f"[basket.functions]\n{text}", file="f").basket.functions}


def test_one_process_looks_for_all_names_of_a_configuration(plugins, asked):
    found = read(
        '"rack.position" = { row_offset = 4 }\n"rack.other" = "5m"\n"a.b" = { function = "rack.anything", x = 1 }\n'
        '"os.name" = "5m"\n"custom.x" = { value = 1 }'
    )
    assert [found[name].what for name in ("rack.position", "rack.other", "a.b")] == [
        "racks_plugin:position",
        "other_plugin:position",
        "racks_plugin:open_minded",
    ]
    assert asked == [["rack.anything", "rack.other", "rack.position"]]
    read('"os.name" = "5m"\n"custom.x" = { value = 1 }\n"a.b" = { function = "network.ip_addrs" }')
    assert len(asked) == 1, "nothing to look for"


def test_a_mistake_in_one_of_several_plugins_is_that_ones(plugins, asked):
    names = '"rack.position" = "5m"\n"rack.sick" = "5m"'
    with pytest.raises(ConfigError, match=r'^f:3: .*"rack\.sick": .*importing sick_plugin failed: RuntimeError: sick'):
        read(names)
    assert len(asked) == 1
    with pytest.raises(ConfigError, match=r'^f:3: .*"rack\.positon": no function .* nearest known name .rack\.position.'):
        read('"rack.position" = "5m"\n"rack.positon" = "5m"')


def test_a_plugin_that_ends_the_process_is_named_not_its_neighbours(plugins):
    (plugins.parent / "other_plugin.py").write_text("import os; os._exit(3)\n")
    with pytest.raises(ConfigError, match=r'^f:3: .*"rack\.other": looking for .* failed'):
        read('"rack.anything" = "5m"\n"rack.other" = "5m"\n"rack.position" = "5m"')


def test_an_alias_of_a_plugin_that_the_file_names_too(plugins):
    found = read('"rack.position" = "5m"\n"a.b" = { function = "rack.position", row_offset = 1 }')
    assert found["a.b"].what == found["rack.position"].what


def test_a_plugin_cannot_take_a_built_in_name(plugins):
    assert define("network.ip_addrs", {}).kind == "builtin"
    assert [one.source for one in catalogue() if one.name == "network.ip_addrs"] == ["built-in"]


def test_the_catalogue_shows_plugins_with_summary_and_arguments(plugins):
    listed = {one.name: one for one in catalogue()}
    assert listed["rack.position"].source == "mysite-racks"
    assert listed["rack.position"].summary == "Row and number of this host's rack."
    assert listed["rack.position"].arguments == {"row_offset": "added to the row", "database": "default '/var/lib/racks.db'"}
    assert "cannot be loaded: importing sick_plugin failed" in listed["rack.sick"].summary
    assert "rack.position" not in {one.name for one in catalogue(plugins=False)}
