"""What monitoring is told about the agent: an alarm that does not ring, or rings for nothing, is worse than none."""

from __future__ import annotations

import pytest

from basket.agent import http
from basket.agent.vitals import Vitals


@pytest.fixture
def vitals():
    now = [100.0]
    made = Vitals(clock=lambda: now[0], wall=lambda: 1000.0 + now[0])
    made.now = now
    made.peel_id = "web-01"
    made.expect(["a.b", "c.d"], 1)
    return made


def test_not_ready_before_everything_has_been_tried(vitals):
    vitals.state = lambda: "connected"
    vitals.worked("a.b")
    fine, body = http.ready(vitals.snapshot())
    assert not fine and body["not_yet_published"] == ["c.d"]
    vitals.failed("c.d", "exit status 1")
    fine, body = http.ready(vitals.snapshot())
    assert fine, "one broken function must not take the whole peel out of service"
    assert body["failing"] == {"c.d": "exit status 1"}


@pytest.mark.parametrize("state", ["connecting", "suspended", "closed"])
def test_not_ready_without_a_connection(vitals, state):
    for name in ("a.b", "c.d"):
        vitals.worked(name)
    vitals.state = lambda: state
    fine, body = http.ready(vitals.snapshot())
    assert not fine and body["nats"] == state


def test_an_outage_of_nats_does_not_make_it_unhealthy(vitals):
    """A restart would not help, and lose what waits."""
    vitals.state = lambda: "suspended"
    assert http.healthy(vitals.snapshot())[0]


def test_a_main_thread_that_hangs_is_unhealthy(vitals):
    vitals.now[0] += http.DEAD_AFTER + 1
    assert not http.healthy(vitals.snapshot())[0]
    vitals.pulse()
    assert http.healthy(vitals.snapshot())[0]


def test_what_a_function_did_is_counted(vitals):
    vitals.ran("a.b", 0.5)
    vitals.worked("a.b")
    vitals.ran("a.b", 0.7)
    vitals.failed("a.b", "exit status 1")
    done = vitals.snapshot().functions["a.b"]
    assert (done.runs, done.failures, done.seconds, done.reason) == (2, 1, 0.7, "exit status 1")
    assert done.last_success == 1100.0
    vitals.worked("a.b")
    assert vitals.snapshot().functions["a.b"].reason is None


def test_a_retired_function_is_gone_and_a_kept_one_keeps_its_counts(vitals):
    vitals.ran("a.b", 0.5)
    vitals.expect(["a.b", "new"], 0)
    functions = vitals.snapshot().functions
    assert set(functions) == {"a.b", "new"} and functions["a.b"].runs == 1
    vitals.worked("c.d")  # its last delivery comes back late
    assert "c.d" not in vitals.snapshot().functions


def test_metrics_are_what_prometheus_reads(vitals):
    pytest.importorskip("prometheus_client")
    from prometheus_client.parser import text_string_to_metric_families

    from basket.agent import metrics

    vitals.state = lambda: "connected"
    vitals.ran("a.b", 0.5)
    vitals.worked("a.b")
    vitals.failed("c.d", 'a "quoted" reason')
    vitals.beat()
    vitals.delivered(3, 1, 2)
    kind, body = metrics.text(vitals.snapshot())
    assert kind.startswith("text/plain")
    samples = {
        (sample.name, sample.labels.get("function")): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }
    assert samples[("zester_basket_connected", None)] == 1
    assert samples[("zester_basket_writes_total", None)] == 3
    assert samples[("zester_basket_waiting_values", None)] == 2
    assert samples[("zester_basket_function_last_success_timestamp_seconds", "a.b")] == 1100.0
    assert samples[("zester_basket_function_failing", "c.d")] == 1
    assert ("zester_basket_function_last_success_timestamp_seconds", "c.d") not in samples, "never is not 1970"
    assert samples[("zester_basket_last_heartbeat_timestamp_seconds", None)] == 1100.0
