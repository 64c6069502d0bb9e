"""Every Python there is, one session each: ``bin/test-all`` finds them and starts this. Each has an environment of its own."""

import os

import nox

nox.needs_version = ">=2022.8"
nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.error_on_missing_interpreters = False

VERSIONS = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"]

QUICK = ["tests/live/test_client.py", "tests/live/test_check.py", "tests/live/test_health.py"]
"""Of the tests with a real server those that say most in a few seconds."""


@nox.session(python=VERSIONS)
def tests(session):
    """Unit tests, where every warning is an error, and a few against a real server; other arguments are pytest's."""
    # A plain path entry, where pip knows how, instead of an import hook that every Python started here would load.
    helps = session.run("python", "-m", "pip", "install", "--help", silent=True) or ""
    plain = ["--config-settings", "editable_mode=compat"] if "--config-settings" in str(helps) else []
    session.install("--quiet", *plain, "-e", ".[test]")
    if session.posargs:
        session.run("python", "-m", "pytest", *session.posargs)
        return
    session.run("python", "-W", "error", "-m", "pytest", "-q", "tests/unit", env={"PYTHONWARNINGS": "error"})
    session.run("python", "-m", "pytest", "-q", *[path for path in QUICK if os.path.exists(path)])
