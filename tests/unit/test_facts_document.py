"""The facts document: the names others rely on, custom facts, one fact alone, and what counts as a change."""

from __future__ import annotations

import copy
import datetime
import logging
import subprocess
import sys

import pytest

from basket import codec, facts
from basket.errors import MissingError
from basket.facts import document
from basket.facts.part import Part, text

WORDS = {
    "os": {"name", "family", "platform", "arch", "kernel", "kernel_arch", "uptime", "boot_time"},
    "network": {"hostname", "fqdn", "ipv4", "ipv6", "interfaces"},
    "cpu": {"count", "logical_count"},
    "memory": {"total", "available", "used", "used_percent", "free", "swap_total", "swap_used", "swap_free"},
    "disk": {"mounts"},
}


@pytest.fixture(scope="module")
def collected():
    return facts.collect()


def test_every_shared_name_is_there(collected):
    for section, leaves in WORDS.items():
        assert leaves <= set(collected[section]), section


def test_nothing_is_collected_that_known_does_not_list(collected):
    paths = {f"{section}.{leaf}" for section, leaves in collected.items() if isinstance(leaves, dict) for leaf in leaves}
    assert paths <= set(facts.KNOWN)
    assert set(collected) <= set(facts.KNOWN)


def test_shapes_of_lists(collected):
    assert all(set(one) == {"name", "mac", "flags", "addrs"} for one in collected["network"]["interfaces"])
    loopback = next(one for one in collected["network"]["interfaces"] if one["name"] == "lo")
    assert loopback["mac"] == ""
    assert "loopback" in loopback["flags"]
    assert "127.0.0.1/8" in loopback["addrs"]
    for mount in collected["disk"]["mounts"]:
        assert set(mount) == {"device", "mountpoint", "fstype", "opts", "total", "used", "free", "used_percent"}
        assert mount["used"] <= mount["total"]
    assert collected["disk"]["mounts"][0]["mountpoint"] == "/"


def test_the_document_can_be_published_and_is_small(collected):
    packed = codec.encode(collected)
    assert codec.decode(packed) == collected
    assert len(packed) < 256 * 1024


def test_custom_facts_join_maps_and_win():
    found = facts.collect({"role": "web", "os": {"tier": 1, "name": "renamed"}, "cpu": "none"})
    assert found["role"] == "web"
    assert found["os"]["tier"] == 1
    assert found["os"]["name"] == "renamed"
    assert found["os"]["kernel"]
    assert found["cpu"] == "none"


def test_custom_facts_are_not_changed_by_merging():
    custom = {"os": {"tier": 1}, "list": [1]}
    before = copy.deepcopy(custom)
    found = facts.collect(custom)
    found["os"]["more"] = 2
    found["list"].append(2)
    assert custom == before


def test_dates_of_the_configuration_become_text_that_can_be_published():
    found = facts.collect({"bought": datetime.date(2024, 5, 1), "at": [datetime.datetime(2024, 5, 1, 12)]})
    assert found["bought"] == "2024-05-01"
    codec.encode(found)


def test_lookup_agrees_with_the_document(collected):
    changing = {"os.uptime", "os.boot_time", "cpu.mhz"}
    for path in facts.KNOWN:
        section, _, leaf = path.partition(".")
        if (section in ("memory", "disk", "os") and not leaf) or section == "memory" or path in changing or section == "disk":
            continue
        if section in collected and (not leaf or leaf in collected[section]):
            assert facts.lookup(path) == (collected[section][leaf] if leaf else collected[section]), path


def test_lookup_reads_only_what_it_needs(monkeypatch):
    def never():
        raise AssertionError("a section nobody asked for was read")

    sections = {name: (Part(tuple(WORDS[name]), never),) for name in WORDS}
    sections["os"] = (Part(("name",), lambda: {"name": "linux"}), Part(("uptime",), never))
    monkeypatch.setattr(document, "_SECTIONS", sections)
    monkeypatch.setattr(document, "_log", logging.getLogger("quiet"))
    assert facts.lookup("os.name") == "linux"
    assert facts.lookup("rack.row", {"rack": {"row": 7}}) == 7
    assert facts.lookup("network.fqdn", {"network": {"fqdn": "by.hand"}}) == "by.hand"


@pytest.mark.parametrize("path", ["os.nmae", "nothing", "os.name.deeper", "custom.x", "", "os.", "."])
def test_a_fact_that_is_not_there_is_missing(path):
    with pytest.raises(MissingError, match="no fact"):
        facts.lookup(path, {"custom": {"y": 1}})


@pytest.mark.parametrize("value", [0, False, "", [], {}])
def test_empty_custom_facts_are_facts(value):
    assert facts.lookup("mine", {"mine": value}) == value


def test_a_section_that_fails_is_left_out_and_says_why_at_debug_level(monkeypatch, caplog):
    def broken():
        raise PermissionError("the sandbox says no")

    sections = dict(document._SECTIONS)
    sections["memory"] = (Part(("total",), broken), Part(("swap_total",), lambda: {"swap_total": 1}))
    sections["disk"] = (Part(("mounts",), broken),)
    monkeypatch.setattr(document, "_SECTIONS", sections)
    with caplog.at_level(logging.DEBUG, logger="basket.facts"):
        found = facts.collect()
    assert found["memory"] == {"swap_total": 1}
    assert "disk" not in found
    assert found["os"]["name"]
    assert "memory.total" in caplog.text and "the sandbox says no" in caplog.text
    assert all(record.levelno == logging.DEBUG for record in caplog.records)
    with pytest.raises(MissingError, match="the sandbox says no"):
        facts.lookup("disk.mounts")


def test_without_a_route_there_is_no_default_address(monkeypatch):
    monkeypatch.setattr(document.network, "default_ipv4", lambda: None)
    assert "default_ipv4" not in facts.collect()
    with pytest.raises(MissingError, match="no route"):
        facts.lookup("default_ipv4")


def test_stable_is_the_same_at_every_look_and_shows_real_changes(collected):
    before = copy.deepcopy(collected)
    kept = facts.stable(collected)
    assert collected == before, "the document itself is published, so it must stay whole"
    later = copy.deepcopy(collected)
    later["os"]["uptime"] += 60
    later["os"]["boot_time"] += 1
    later["cpu"]["mhz"] = 1.0
    later["memory"].update(available=1, used=2, used_percent=3.0, free=4, swap_used=5, swap_free=6)
    later["disk"]["mounts"][0].update(used=1, free=2, used_percent=3.0)
    assert facts.stable(later) == kept
    for section, leaf in (("os", "kernel"), ("memory", "total"), ("network", "ipv4"), ("cpu", "count")):
        changed = copy.deepcopy(collected)
        changed[section][leaf] = "other"
        assert facts.stable(changed) != kept, f"{section}.{leaf}"
    changed = copy.deepcopy(collected)
    changed["disk"]["mounts"][0]["total"] += 1
    assert facts.stable(changed) != kept


@pytest.mark.parametrize(
    "odd", [{}, {"os": "x"}, {"disk": 3}, {"disk": {"mounts": "x"}}, {"disk": {"mounts": [1]}}, {"memory": None}]
)
def test_stable_takes_any_document(odd):
    assert facts.stable(odd) == odd


def test_strings_from_file_systems_are_bounded_and_valid():
    assert text("a\udcffb") == "a\\udcffb"
    assert len(text("x" * 5000)) == 256


def test_importing_the_room_costs_no_psutil():
    heavy = ("psutil", "subprocess", "importlib.metadata", "asyncio", "ipaddress", "msgpack")
    code = f"import sys, basket.facts, basket.functions; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True)
    assert done.stdout.strip() == b"[]", "the agent's memory would grow although nothing of it is used"
