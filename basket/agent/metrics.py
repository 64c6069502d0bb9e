"""The vitals as Prometheus reads them. ImportError without prometheus_client; imported when first asked for."""

from __future__ import annotations

from typing import Any, Iterator, Optional, Sequence, Tuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

import basket
from basket.agent.vitals import Snapshot

_PREFIX = "zester_basket_"


class _Collector:
    """A registry of its own for each answer: nothing global, nothing kept."""

    def __init__(self, now: Snapshot) -> None:
        self._now = now

    def collect(self) -> Iterator[Any]:
        now, counts = self._now, self._now.counts
        info = InfoMetricFamily(_PREFIX + "agent", "Which agent this is")
        info.add_metric([], {"version": basket.__version__, "peel": now.peel_id})
        yield info
        yield _gauge("start_time_seconds", "When the agent started", now.started)
        yield _gauge("main_thread_idle_seconds", "Seconds since the main thread last turned", now.pulse)
        yield _gauge("connected", "1 while connected to NATS", now.state == "connected")
        yield _counter("connections", "Connections to NATS made so far", counts.connections)
        yield _counter("writes", "Values written to the basket", counts.writes)
        yield _counter("write_failures", "Values that could not be written when they were tried", counts.write_failures)
        yield _gauge("waiting_values", "Values that wait to be written", counts.waiting)
        yield _counter("heartbeats", "Heartbeats written", counts.heartbeats)
        yield from _when("last_heartbeat", "When the last heartbeat was written", counts.last_heartbeat)
        yield from _when("last_facts", "When the facts were last seen to be current", counts.last_facts)
        yield _counter("reloads", "Versions of the configuration taken over", counts.reloads)
        yield _counter("reload_failures", "Times that a configuration was not taken over", counts.reload_failures)
        yield _gauge("templates", "Files that are kept current", counts.templates)
        yield from self._functions()

    def _functions(self) -> Iterator[Any]:
        done = sorted(self._now.functions.items())
        rows: Sequence[Tuple[str, Optional[float]]]
        runs = CounterMetricFamily(_PREFIX + "function_runs", "Runs of a function", labels=["function"])
        failures = CounterMetricFamily(
            _PREFIX + "function_failures", "Runs that failed, or gave a value that was refused", labels=["function"]
        )
        for name, one in done:
            runs.add_metric([name], one.runs)
            failures.add_metric([name], one.failures)
        yield runs
        yield failures
        for metric, meaning, rows in (
            ("function_failing", "1 where its last run failed", [(n, float(d.reason is not None)) for n, d in done]),
            ("function_duration_seconds", "How long its last run took", [(n, d.seconds) for n, d in done]),
            (
                "function_last_success_timestamp_seconds",
                "When its value was last seen to be in the basket",
                [(n, d.last_success) for n, d in done],
            ),
        ):
            family = GaugeMetricFamily(_PREFIX + metric, meaning, labels=["function"])
            for name, value in rows:
                if value is not None:
                    family.add_metric([name], value)
            yield family


def _gauge(name: str, meaning: str, value: float) -> Any:
    return GaugeMetricFamily(_PREFIX + name, meaning, value=float(value))


def _counter(name: str, meaning: str, value: float) -> Any:
    return CounterMetricFamily(_PREFIX + name, meaning, value=float(value))


def _when(name: str, meaning: str, at: Optional[float]) -> Iterator[Any]:
    if at is not None:
        yield _gauge(f"{name}_timestamp_seconds", meaning, at)


def text(now: Snapshot) -> Tuple[str, bytes]:
    """Content type and body."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Collector(now))
    return CONTENT_TYPE_LATEST, generate_latest(registry)
