"""The measurements still run: everything once, with small numbers. What they find is nobody's concern here."""

from __future__ import annotations

import json
import os

import pytest

from bench.__main__ import ALL, main
from bench.costs import plot

pytestmark = pytest.mark.bench


def test_everything_is_measured_and_told(tmp_path, capsys):
    told = tmp_path / "figures.json"
    assert main(["--quick", "--json", str(told)]) == 0
    found = json.loads(told.read_text())
    names = [figure["name"] for figure in found["figures"]]
    assert len(names) == len(set(names)) > len(ALL)
    for figure in found["figures"]:
        assert figure["ours"] and all(value >= 0 for value in figure["ours"]), figure["name"]
        assert len(figure["raw"]) == len(figure["ours"]), figure["name"]
    table = capsys.readouterr().out
    assert all(name in table for name in names)


def test_the_cost_of_reading_is_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    from bench.asking import QUICK
    from bench.costs import BATCHED, OURS, SEQUENTIAL, costs

    points = costs(QUICK, lambda line: None)
    assert [point["values"] for point in points] == [10, 100]
    assert all(point[way] > 0 for point in points for way in (OURS, BATCHED, SEQUENTIAL))
    picture = tmp_path / "cost.png"
    assert plot(points, str(picture))
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_an_older_server_is_measured_where_there_is_one(capsys):
    binary = os.environ.get("OLD_NATS_SERVER")
    if not binary:
        pytest.skip("OLD_NATS_SERVER names no nats-server 2.10")
    assert main(["--quick", "--only", "many", "--old-server", binary]) == 0
    assert "2.10" in capsys.readouterr().out
