"""What the demo shows, step by step. Every command on the screen is run, and what it printed is what stands below it."""

from __future__ import annotations

import importlib.util
import shlex
import sys
import time
from typing import Any, Callable, List

from basket.demo import peels
from basket.demo.signals import Interrupted, Signals
from basket.demo.stage import Stage

Say = Callable[[str], None]


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()  # as it happens, through a pipe too


def run(say: Say = _print) -> int:
    """Run the demo; the exit status. Whatever ends it, processes and files are gone when it returns or raises."""
    try:
        with Signals() as signals:
            return _run(say, Stage(signals))
    except Interrupted as interrupted:
        sys.stderr.write(f"zester-basket: {interrupted}: the demo ends early, and has cleaned up\n")
        return 128 + interrupted.number


def _run(say: Say, stage: Stage) -> int:
    started = time.monotonic()
    try:
        _tell(stage, say)
    finally:
        stage.close()
    say(f"Done: agents and server stopped, {stage.directory} removed, {time.monotonic() - started:.1f} s in all.")
    return 0


def _tell(stage: Stage, say: Say) -> None:
    host = peels.this_host()
    _server(stage, say, host)
    import basket

    with basket.connect(config=stage.environ["BASKET_CONFIG"]) as b:
        _agents(stage, say, host, b)
        _questions(stage, say, host)
        _change(stage, say, b)
    _backend(stage, say)
    _template(stage, say, host)


def _server(stage: Stage, say: Say, host: str) -> None:
    stage.open()
    say(f"1. A NATS server with JetStream runs on {stage.server.url}, a free port, its data in {stage.directory}.")
    say("   The commands below find it through a configuration file:")
    config = stage.write("basket.toml", peels.asker_config(host, stage.server.url, str(stage.directory / "asker")))
    stage.environ["BASKET_CONFIG"] = str(config)
    say(f"   $ export BASKET_CONFIG={shlex.quote(str(config))}")
    say("")


def _agents(stage: Stage, say: Say, host: str, b: Any) -> None:
    url = stage.server.url
    state = stage.directory / "state"
    configs = {host: peels.host_config(host, url, str(state / host))}
    for other in peels.OTHERS:
        release = stage.write(f"{other.peel_id}.release", peels.FIRST_RELEASE[other.peel_id] + "\n")
        configs[other.peel_id] = peels.peel_config(other, url, str(state / other.peel_id), str(release))
    say(f"2. Four agents, each a process of its own: {host} (this host, with its real facts), two webservers, a database.")
    for peel_id, text in configs.items():
        path = stage.write(f"{peel_id}.toml", text)
        stage.start_agent(peel_id, path)
        say(f"   $ zester-basket --config {shlex.quote(str(path))} agent &")
    say("   What web-01.toml says beside id and server; each value and each fact is published under the peel's name:")
    _indented(say, configs["web-01"].partition("[basket.functions]")[1:], prefix="       ")
    seconds = stage.wait("every agent to have published", lambda: _all_there(b, host))
    say(f"   All four have published, {seconds:.1f} s later.")
    say("")


def _all_there(b: Any, host: str) -> bool:
    others = {other.peel_id for other in peels.OTHERS}
    webservers = {other.peel_id for other in peels.OTHERS if other.role == "webserver"}
    alive = {peel.peel_id for peel in b.peel_info("*") if peel.online}
    # Cheapest first: most looks end at the first line.
    return (
        alive == others | {host}
        and {entry.peel_id for entry in b.get("*", "custom.release")} == others
        and {entry.peel_id for entry in b.get("role:webserver", "service.address")} == webservers
        and {"disk.usage", "memory.usage", "network.ip_addrs"} <= set(b.functions(host))
    )


def _questions(stage: Stage, say: Say, host: str) -> None:
    say("3. Anyone can ask now. Who is there:")
    _command(stage, say, ["peels"])
    say("   What this host publishes, and one of its values:")
    _command(stage, say, ["list", host])
    _command(stage, say, ["get", host, "disk.usage"])
    say("   Peels chosen by a glob over their names:")
    _command(stage, say, ["get", "web-*", "custom.release"])
    say("   Peels chosen by a fact that they published, whatever they are called:")
    _command(stage, say, ["get", "role:webserver", "service.address"])
    say("")


def _change(stage: Stage, say: Say, b: Any) -> None:
    before = b.value("web-02", "custom.release")
    watch = b.watch("web-02", "custom.release")
    watch.wait(5)  # what is there already
    say(f"4. A change. web-02 gets a new release; its agent looks at the file every {peels.LOOKS_EVERY}:")
    path = stage.directory / "web-02.release"
    say(f"   $ echo {peels.NEXT_RELEASE} > {shlex.quote(str(path))}")
    stage.write(path.name, peels.NEXT_RELEASE + "\n")
    seconds = stage.wait("the new release of web-02", lambda: watch.wait(0.05) is not None)
    watch.stop()
    say(f"   A watch told it here: {before} became {b.value('web-02', 'custom.release')} {seconds * 1000:.0f} ms later.")
    _command(stage, say, ["get", "role:webserver", "custom.release"])
    say("")


def _backend(stage: Stage, say: Say) -> None:
    say("5. The same question from Python, made into an HAProxy backend:")
    script = stage.write("backend.py", peels.backend_script(stage.server.url))
    say(f"   $ cat {shlex.quote(str(script))}")
    _indented(say, [script.read_text(encoding="utf-8")])
    say(f"   $ python {shlex.quote(str(script))}")
    _indented(say, [stage.run([str(script)])])
    say("")


def _template(stage: Stage, say: Say, host: str) -> None:
    if importlib.util.find_spec("jinja2") is None:
        say("6. An agent keeps such a file current by itself, from a template: pip install 'zester-basket[template]'.")
        say("")
        return
    source = stage.write("backend.cfg.j2", peels.BACKEND_TEMPLATE)
    destination = stage.directory / "backend.cfg"
    more = peels.template_config(str(source), str(destination))
    config = stage.directory / f"{host}.toml"
    say(f"6. The same as a template that an agent keeps current. {host}'s configuration gets this, while its agent runs:")
    stage.write(config.name, config.read_text(encoding="utf-8") + more)
    _indented(say, [more.strip()], prefix="       ")
    stage.wait("the file that the template makes", lambda: destination.exists())
    new = peels.NEWCOMER
    say(f"   A third web server comes up, and {destination.name} knows it, without anybody asking:")
    release = stage.write(f"{new.peel_id}.release", peels.FIRST_RELEASE[new.peel_id] + "\n")
    state = str(stage.directory / "state" / new.peel_id)
    path = stage.write(f"{new.peel_id}.toml", peels.peel_config(new, stage.server.url, state, str(release)))
    say(f"   $ zester-basket --config {shlex.quote(str(path))} agent &")
    stage.start_agent(new.peel_id, path)
    seconds = stage.wait(f"{new.peel_id} in {destination}", lambda: new.address in destination.read_text(encoding="utf-8"))
    say(f"   $ cat {shlex.quote(str(destination))}          # {seconds:.1f} s after the agent was started")
    _indented(say, [destination.read_text(encoding="utf-8")])
    say("")


def _command(stage: Stage, say: Say, arguments: List[str]) -> None:
    say("   $ zester-basket " + " ".join(shlex.quote(argument) for argument in arguments))
    _indented(say, [stage.run(["-m", "basket", *arguments])])


def _indented(say: Say, texts: Any, prefix: str = "     ") -> None:
    for line in "".join(texts).rstrip("\n").splitlines():
        say((prefix + line).rstrip())
