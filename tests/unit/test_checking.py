"""What ``zester-basket check`` makes of what it sees, without a server: advice that is wrong costs an operator an evening."""

from __future__ import annotations

import os

import pytest

from basket import checking
from basket.bus.bucket import BucketSpec
from basket.checking import Area, Result, host, running, server
from basket.cli.check import lines, status
from basket.config import parse

HEARTBEATS = BucketSpec("peel-heartbeat", "", ttl=30.0)
VALUES = BucketSpec("basket", "", replicas=3)


def differences(spec, **changes):
    return list(server.compare(spec, {**spec.stream_config(), **changes}))


@pytest.mark.parametrize("spec", [HEARTBEATS, VALUES, BucketSpec("facts", "", history=5)])
def test_a_bucket_of_ours_is_as_it_should_be(spec):
    assert differences(spec) == []


@pytest.mark.parametrize(
    "spec, changes, flag",
    [
        (VALUES, {"allow_direct": False}, "--allow-direct"),
        (VALUES, {"max_msgs_per_subject": 64}, "--max-msgs-per-subject=1"),
        (VALUES, {"max_age": 3_600_000_000_000}, "--max-age=-1"),
        (VALUES, {"num_replicas": 1}, "--replicas=3"),
        (VALUES, {"max_bytes": 1000}, "--max-bytes=-1"),
        (VALUES, {"storage": "memory"}, "nats stream rm KV_basket"),
        (HEARTBEATS, {"max_age": 0}, "--max-age=30s"),
        (HEARTBEATS, {"max_age": 600_000_000_000}, "--max-age=30s"),
    ],
)
def test_a_setting_that_differs_comes_with_the_command_that_mends_it(spec, changes, flag):
    [(what, advice)] = differences(spec, **changes)
    assert what and flag in advice and spec.stream in advice


def test_more_replicas_than_asked_for_are_nobodys_mistake():
    assert differences(BucketSpec("basket", ""), num_replicas=3) == []


@pytest.mark.parametrize(
    "ahead, state, word", [(0.0, "ok", ""), (1.9, "ok", ""), (2.5, "warning", "behind"), (-60, "warning", "ahead of")]
)
def test_clock_skew(ahead, state, word):
    result = server.skew(ahead)
    assert result.state == state and word in result.what


def of(*failed):
    return [Result(area, "x", checking.FAILED, "x") for area in failed] + [Result(Area.SERVER, "x", checking.WARNING, "x")]


def test_the_exit_status_names_what_to_mend_first():
    assert status(of()) == 0
    assert status(of(Area.FUNCTION)) == 1
    assert status(of(Area.FUNCTION, Area.SERVER)) == 3
    assert status(of(Area.FUNCTION, Area.SERVER, Area.CONFIGURATION)) == 2


def test_what_a_server_says_cannot_forge_a_line():
    shown = lines(Result(Area.SERVER, "server", checking.FAILED, "refused\nok       all: fine", "do\x1b[2Jthis"))
    assert len(shown) == 2 and not any("\x1b" in line or "\n" in line for line in shown)


def test_a_file_with_a_mistake_ends_it_there(tmp_path):
    file = tmp_path / "basket.toml"
    file.write_text("[peel\n")
    [only] = checking.run(str(file))
    assert only.state == checking.FAILED and only.area is Area.CONFIGURATION and f"{file}:1" in only.what


def test_no_configuration_at_all_is_a_warning_that_says_where_one_goes():
    result = host.configuration(parse(""))
    assert result.state == checking.WARNING and "/etc/zester/basket.toml" in result.advice


def test_the_peels_id_and_where_it_comes_from(tmp_path):
    assert "from [peel] id" in host.identity(parse('[peel]\nid = "web-01"')).what
    (tmp_path / "node-id").write_text("pinned-01\n")
    result = host.identity(parse(f'[peel]\nstate = "{tmp_path}"'))
    assert result.what.startswith("pinned-01, pinned in ")
    (tmp_path / "node-id").write_text("not an id!\n")
    assert host.identity(parse(f'[peel]\nstate = "{tmp_path}"')).state == checking.FAILED


@pytest.mark.parametrize("mode, state", [(0o600, "ok"), (0o640, "warning"), (0o604, "warning"), (0o602, "warning")])
def test_who_may_read_a_secret(tmp_path, mode, state):
    secret = tmp_path / "seed"
    secret.write_text("x")
    secret.chmod(mode)
    found = list(host.files(parse(f'[nats]\nnkey_seed = "{secret}"')))
    assert [one.state for one in found] == [state]


def test_a_secret_that_is_not_there(tmp_path):
    found = next(host.files(parse(f'[nats]\ncredentials = "{tmp_path}/none.creds"')))
    assert found.state == checking.FAILED and "none.creds" in found.what


def test_a_configuration_that_everybody_may_write_is_a_way_to_run_commands(tmp_path):
    file = tmp_path / "basket.toml"
    file.write_text("")
    file.chmod(0o666)
    found = list(host.files(parse("", file=str(file))))
    assert any(one.state == checking.WARNING and str(file) in one.advice for one in found)
    file.chmod(0o644)
    assert [one.state for one in host.files(parse("", file=str(file)))] == [checking.OK]


def run(text, limit=0):
    return {one.what.partition(" ")[0].rstrip(":"): one for one in running.functions(parse(text), limit)}


def test_functions_are_run_at_the_same_time_and_ended_at_their_timeout():
    import time

    slow = "\n".join(f'"slow.f{number}" = {{ command = ["sleep", "30"], timeout = "300ms" }}' for number in range(8))
    begun = time.monotonic()
    found = run(f'[basket.functions]\n{slow}\n"a.b" = {{ value = 1 }}\n')
    assert time.monotonic() - begun < 8 * 0.3, "one after the other"
    assert found["a.b"].state == checking.OK
    assert {one.state for name, one in found.items() if name != "a.b"} == {checking.FAILED}


def test_a_value_larger_than_the_server_takes():
    found = run('[basket.functions]\n"a.b" = { value = "0123456789" }\n', limit=5)
    assert found["a.b"].state == checking.FAILED and "max_payload" in found["a.b"].advice


def test_a_function_that_takes_longer_than_its_interval():
    found = run('[basket.functions]\n"a.b" = { command = ["sleep", "0.3"], interval = "100ms" }\n')
    assert found["a.b"].state == checking.WARNING and "longer interval" in found["a.b"].advice


def test_values_are_shown_on_one_line_and_not_whole():
    found = run('[basket.functions]\n"a.b" = { value = "' + "x" * 500 + '\\n" }\n')
    assert len(found["a.b"].what) < 100 and "\n" not in found["a.b"].what


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_secret_that_this_user_cannot_read(tmp_path):
    secret = tmp_path / "seed"
    secret.write_text("x")
    secret.chmod(0)
    found = next(host.files(parse(f'[nats]\nnkey_seed = "{secret}"')))
    assert found.state == checking.FAILED
