"""What ``bin/package`` has made is whole and works where nothing else of ours is. Left out where nothing has been made."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif("BASKET_DIST" not in os.environ, reason="bin/package runs these, with what it has made")


@pytest.fixture(scope="module")
def dist():
    return Path(os.environ["BASKET_DIST"])


def only(dist, pattern):
    [found] = dist.glob(pattern)
    return found


def test_the_wheel_holds_the_package_and_nothing_else(dist):
    names = zipfile.ZipFile(str(only(dist, "*.whl"))).namelist()
    assert "basket/py.typed" in names, "without it no type checker looks at our types"
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"basket"}
    sources = Path(__file__).resolve().parents[2] / "basket"
    rooms = {path.parent.relative_to(sources.parent).as_posix() for path in sources.rglob("*.py")}
    assert rooms <= {os.path.dirname(name) for name in names}, "a room is missing"


def test_the_sdist_holds_what_an_operator_needs(dist):
    with tarfile.open(str(only(dist, "*.tar.gz"))) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    for wanted in (
        "basket/py.typed",
        "conf/basket.toml",
        "man/zester-basket.1",
        "bin/zipapp",
        "tests/conftest.py",
        "README.md",
        "LICENSE",
    ):
        assert wanted in names


def test_the_sdist_runs_as_it_is(dist, tmp_path):
    """A distribution builds and tests from that, without git."""
    with tarfile.open(str(only(dist, "*.tar.gz"))) as tar:
        tar.extractall(str(tmp_path))
    [source] = tmp_path.iterdir()
    told = subprocess.run(
        [sys.executable, "-c", "import basket.cli, sys; sys.exit(basket.cli.main(['--version']))"],
        cwd=source,
        capture_output=True,
        timeout=30,
    )
    assert told.returncode == 0 and told.stdout.startswith(b"zester-basket ")


@pytest.fixture
def pyz(dist, tmp_path):
    """Runs the zipapp with a Python that has nothing installed: ``pyz("get", ...)`` gives the finished process."""
    file = dist / "zester-basket.pyz"
    empty = tmp_path / "empty"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(empty)], check=True, timeout=60)

    def run(*arguments, **environ):
        return subprocess.run(
            [str(empty / "bin" / "python"), "-I", str(file), *arguments],
            cwd=str(tmp_path),
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", **environ},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


def test_the_zipapp_publishes_and_asks(pyz, server, tmp_path):
    config = tmp_path / "basket.toml"
    config.write_text(f'[peel]\nid = "web-01"\n[nats]\nurl = "{server.url}"\n')
    assert pyz("--config", str(config), "publish", "custom.a", "hello").returncode == 0
    told = pyz("--config", str(config), "get", "E@^web", "custom.a", "--format", "value")
    assert (told.stdout, told.returncode) == ("hello\n", 0), told.stderr


def test_the_zipapp_runs_python_functions_and_commands(pyz, server, tmp_path):
    """These start processes of their own, which have to find what is inside the file."""
    config = tmp_path / "basket.toml"
    config.write_text(
        f'[peel]\nid = "web-01"\n[nats]\nurl = "{server.url}"\n[basket.functions]\n'
        '"custom.py" = { python = "platform:python_version" }\n"custom.cmd" = { command = ["echo", "hi"] }\n"disk.usage" = "5m"\n'
    )
    told = pyz("--config", str(config), "agent", "--once")
    assert told.returncode == 0, told.stderr
    told = pyz("--config", str(config), "get", "*", "custom.py", "--format", "value")
    assert told.stdout.strip() == ".".join(map(str, sys.version_info[:3]))


def test_the_zipapp_says_where_it_unpacks_and_takes_another_place(pyz, tmp_path):
    there = tmp_path / "elsewhere"
    assert pyz("--version", SHIV_ROOT=str(there)).returncode == 0
    assert there.is_dir() and not (tmp_path / ".shiv").exists()
