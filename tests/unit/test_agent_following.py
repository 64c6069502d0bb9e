"""A configuration that is read again: by a worker, completely, and whoever asked for it hears when that is done."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from basket.agent.following import Following, Version
from basket.agent.schedule import Schedule
from basket.agent.tasks import Tasks
from basket.agent.troubles import Troubles
from basket.agent.vitals import Vitals
from basket.agent.workers import Workers
from basket.config import BasketSection, Config, PeelSection
from basket.errors import ConfigError


class Reporting:
    def __init__(self):
        self.vitals = Vitals()
        self.said = []

    def reloading(self):
        self.said.append("reloading")

    def reloaded(self):
        self.said.append("reloaded")


class House:
    """An agent that has nothing but its configuration; the test says when a worker works."""

    def __init__(self, config=None):
        self.threads = []
        self.ended = []
        self.taken = []
        self.file = config or Config()
        self.running = Version(self.file, "web-01")
        self.reporting = Reporting()
        workers = Workers(self.ended.append, start=lambda name, target: self.threads.append(target))
        self.tasks = Tasks(Schedule(lambda: 0.5), workers, lambda: 0.0)
        self.following = Following(
            self.tasks,
            Troubles(),
            self.reporting,
            self.load,
            running=lambda: self.running,
            changed=lambda: None,
            taken=self.take,
        )

    def load(self):
        if isinstance(self.file, Exception):
            raise self.file
        return self.file

    def take(self, version):
        self.running = version
        self.taken.append(version)

    def work(self):
        """One run of the worker, if it has anything to do."""
        self.tasks.step()
        while self.threads:
            self.threads.pop(0)()
        while self.ended:
            self.tasks.ended(self.ended.pop(0))
        return self


OTHER = replace(Config(), basket=BasketSection(scope="web*"))


def test_nothing_is_read_on_the_main_thread():
    house = House()
    house.file = OTHER
    house.following.read()
    house.tasks.step()
    assert len(house.threads) == 1 and house.taken == []
    house.work()
    assert [version.config for version in house.taken] == [OTHER]
    assert house.reporting.vitals.snapshot().counts.reloads == 1


def test_a_change_while_it_is_being_read_is_not_missed():
    house = House()
    house.file = OTHER
    house.following.read()
    house.tasks.step()
    house.threads.pop()()  # has read the one before
    house.file = replace(OTHER, nodegroups={"a": "b"})
    house.following.read()
    house.work().work()
    assert [version.config for version in house.taken] == [OTHER, house.file]


def test_whoever_asks_hears_when_all_of_it_is_done():
    house = House()
    house.following.ask()
    house.tasks.step()
    house.following.ask()
    house.work()
    assert house.reporting.said == ["reloading", "reloading"]
    house.work()
    assert house.reporting.said == ["reloading", "reloading", "reloaded"]
    house.following.read()
    house.work()
    assert house.reporting.said[3:] == []


@pytest.mark.parametrize("error", [ConfigError("bad"), ValueError("a defect")])
def test_one_that_cannot_be_read_changes_nothing_is_told_once_and_again_to_whoever_asks(caplog, error):
    caplog.set_level(logging.INFO, logger="basket")
    house = House()
    house.file = error
    for _ in range(3):
        house.following.read()
        house.work()
    assert [record.getMessage() for record in caplog.records].count("configuration not taken over, the running one stays") == 1
    house.following.ask()
    house.work()
    assert len(caplog.records) == 2 and house.taken == [] and house.reporting.said == ["reloading", "reloaded"]
    assert house.reporting.vitals.snapshot().counts.reload_failures == 4


def test_the_id_is_found_out_again_only_where_what_it_comes_from_has_changed(tmp_path):
    house = House(Config(peel=PeelSection(state=str(tmp_path))))
    (tmp_path / "node-id").write_text("db-07\n")
    house.file = replace(house.file, basket=OTHER.basket)
    house.following.read()
    house.work()
    assert house.running.peel_id == "web-01"
    house.file = replace(house.file, peel=PeelSection(id="web-02"))
    house.following.read()
    house.work()
    assert house.running.peel_id == "web-02"
