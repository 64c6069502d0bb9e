"""Addresses and credentials as a value: secrets must not leak through repr, and wrong TLS files must be named."""

from __future__ import annotations

import pytest

from basket.bus.settings import Settings
from basket.errors import ConfigError


def test_no_secret_in_repr():
    shown = repr(Settings(urls=("nats://bob:pa55@h",), user="bob", password="s3cret", token="t0ken"))
    for secret in ("pa55", "s3cret", "t0ken"):
        assert secret not in shown


def test_no_tls_unless_asked_for():
    assert Settings().tls_context() is None
    assert Settings(urls=("nats://a", "tls://b")).tls_context() is not None
    assert Settings(tls_first=True).tls_context() is not None


def test_a_tls_file_that_cannot_be_read_is_a_config_error_with_its_name(tmp_path):
    with pytest.raises(ConfigError, match=r"no-such\.pem"):
        Settings(tls_ca=str(tmp_path / "no-such.pem")).tls_context()
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    with pytest.raises(ConfigError, match=r"junk\.pem"):
        Settings(tls_ca=str(junk)).tls_context()
