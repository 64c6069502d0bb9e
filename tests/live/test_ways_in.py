"""Every way to prove who one is, and every way to be refused: quickly, in words, and without telling the secret to anybody."""

from __future__ import annotations

import base64
import contextlib
import datetime
import hashlib
import ipaddress
import json
import logging
import os
import signal
import socket
import ssl
import threading
import time

import nkeys
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import basket
from basket import exposure
from basket.permissions import PUBLISH, SUBSCRIBE, permissions

SECRET = "pa55-w0rd"


# -- certificates ---------------------------------------------------------------------------------------------------------


class Authority:
    """A certificate authority of one test run; ``issue`` gives the paths of a certificate and its key."""

    def __init__(self, directory):
        self.directory = directory
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"authority {directory.name}")])
        certificate = self._signed(self.name, self.key.public_key(), x509.BasicConstraints(ca=True, path_length=None))
        self.path = self._write("ca.pem", certificate.public_bytes(serialization.Encoding.PEM))

    def _signed(self, name, public, *extensions):
        now = datetime.datetime(2020, 1, 1)
        made = x509.CertificateBuilder().subject_name(name).issuer_name(self.name).public_key(public)
        made = made.serial_number(x509.random_serial_number()).not_valid_before(now)
        made = made.not_valid_after(now + datetime.timedelta(days=36500))
        for extension in extensions:
            made = made.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        # The authority's own certificate is known by its key, and those it issues refer to that.
        made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        made = made.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        return made.sign(self.key, hashes.SHA256())

    def issue(self, name, *hosts):
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.IPAddress(ipaddress.ip_address(host)) if host[0].isdigit() else x509.DNSName(host) for host in hosts]
        extensions = [x509.SubjectAlternativeName(names)] if names else []
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        certificate = self._signed(subject, key.public_key(), *extensions)
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return (
            self._write(f"{name}.pem", certificate.public_bytes(serialization.Encoding.PEM)),
            self._write(f"{name}.key", pem),
        )

    def _write(self, name, data):
        path = self.directory / name
        path.write_bytes(data)
        path.chmod(0o600)
        return str(path)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def impostor(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("impostor"))


def _tls_block(authority, name="server", hosts=("127.0.0.1", "localhost"), more=""):
    cert, key = authority.issue(name, *hosts)
    return f'tls {{ cert_file: "{cert}", key_file: "{key}", ca_file: "{authority.path}", {more} }}\n'


# -- keys and JWTs --------------------------------------------------------------------------------------------------------


def _nkey(prefix):
    """(seed, public key) of a fresh pair."""
    seed = nkeys.encode_seed(os.urandom(32), prefix)
    return seed, nkeys.from_seed(bytearray(seed)).public_key.decode()


def _plain(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _jwt(signer_seed, subject, name, nats, **more):
    """A NATS JWT, version 2."""
    signer = nkeys.from_seed(bytearray(signer_seed))
    claims = {"iat": int(time.time()), "iss": signer.public_key.decode(), "sub": subject, "name": name, "nats": nats, **more}
    unsigned = json.dumps(claims, sort_keys=True).encode()
    claims["jti"] = base64.b32encode(hashlib.new("sha256", unsigned).digest()).rstrip(b"=").decode()
    header = _plain(json.dumps({"typ": "JWT", "alg": "ed25519-nkey"}).encode())
    signed = f"{header}.{_plain(json.dumps(claims).encode())}"
    return f"{signed}.{_plain(signer.sign(signed.encode()))}"


ANY = dict.fromkeys(
    ("subs", "data", "payload", "conn", "leaf", "imports", "exports", "mem_storage", "disk_storage", "streams", "consumer"), -1
)


class Operator:
    """An operator with one account, its configuration for the server, and credentials for users."""

    def __init__(self, directory):
        self.directory = directory
        seed, operator = _nkey(nkeys.PREFIX_BYTE_OPERATOR)
        self.account_seed, account = _nkey(nkeys.PREFIX_BYTE_ACCOUNT)
        _, system = _nkey(nkeys.PREFIX_BYTE_ACCOUNT)
        limits = {**ANY, "wildcards": True}
        accounts = {
            account: _jwt(seed, account, "peels", {"type": "account", "version": 2, "limits": limits}),
            system: _jwt(
                seed,
                system,
                "system",
                {"type": "account", "version": 2, "limits": {**limits, "mem_storage": 0, "disk_storage": 0}},
            ),
        }
        own = _jwt(seed, operator, "operator", {"type": "operator", "version": 2, "system_account": system})
        preload = "\n".join(f'{key}: "{token}"' for key, token in accounts.items())
        self.config = f"operator: {own}\nresolver: MEMORY\nresolver_preload {{\n{preload}\n}}\nsystem_account: {system}\n"

    def credentials(self, name, granted=None, exp=None):
        seed, public = _nkey(nkeys.PREFIX_BYTE_USER)
        nats = {"type": "user", "version": 2, "subs": -1, "data": -1, "payload": -1}
        if granted is not None:
            nats["pub"] = {"allow": granted.subjects(PUBLISH)}
            nats["sub"] = {"allow": granted.subjects(SUBSCRIBE)}
        token = _jwt(self.account_seed, public, name, nats, **({} if exp is None else {"exp": exp}))
        path = self.directory / f"{name}.creds"
        path.write_text(
            f"-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n"
            f"-----BEGIN USER NKEY SEED-----\n{seed.decode()}\n------END USER NKEY SEED------\n"
        )
        path.chmod(0o600)
        return str(path)


def _seed_file(path, seed):
    path.write_text(seed.decode() + "\n")
    path.chmod(0o600)
    return str(path)


def _works(**ways):
    with basket.connect(peel_id="web-01", **ways) as b:
        b.publish("a", 1)
        return b.value("web-01", "a") == 1


def _configuration(tmp_path, text):
    path = tmp_path / "basket.toml"
    path.write_text(f'[peel]\nid = "web-01"\n[nats]\n{text}\n')
    path.chmod(0o600)
    return str(path)


# -- the ways in ----------------------------------------------------------------------------------------------------------


def test_user_and_password(server_with, tmp_path, monkeypatch):
    server = server_with(f'authorization {{ user: web, password: "{SECRET}" }}\n')
    assert _works(url_or_list=server.url, user="web", password=SECRET)
    assert _works(url_or_list=server.url.replace("://", f"://web:{SECRET}@"))
    address = f'url = "{server.url}"\nuser = "web"\n'
    assert _works(config=_configuration(tmp_path, f'{address}password = "{SECRET}"'))
    (tmp_path / "password").write_text(SECRET + "\n")
    (tmp_path / "password").chmod(0o600)
    assert _works(config=_configuration(tmp_path, f'{address}password_file = "{tmp_path}/password"'))
    monkeypatch.setenv("NATS_SECRET", SECRET)
    assert _works(config=_configuration(tmp_path, f'{address}password_env = "NATS_SECRET"'))
    # An argument that says who is calling takes the place of what the configuration says, in an address too.
    wrong = _configuration(tmp_path, f'{address}password = "wrong"')
    assert _works(config=wrong, user="web", password=SECRET)
    assert _works(url_or_list=server.url.replace("://", f"://web:{SECRET}@"), config=wrong)


def test_a_password_with_every_kind_of_character(server_with):
    from urllib.parse import quote

    odd = "p@ss:/?#[]%&=+ ä€"
    server = server_with(f'authorization {{ user: web, password: "{odd}" }}\n')
    assert _works(url_or_list=server.url, user="web", password=odd)
    assert _works(url_or_list=server.url.replace("://", f"://web:{quote(odd, safe='')}@"))


def test_token(server_with, tmp_path, monkeypatch):
    server = server_with(f'authorization {{ token: "{SECRET}" }}\n')
    assert _works(url_or_list=server.url, token=SECRET)
    assert _works(url_or_list=server.url.replace("://", f"://{SECRET}@"))
    (tmp_path / "token").write_text(SECRET)
    (tmp_path / "token").chmod(0o600)
    address = f'url = "{server.url}"\n'
    assert _works(config=_configuration(tmp_path, f'{address}token_file = "{tmp_path}/token"'))
    monkeypatch.setenv("NATS_SECRET", SECRET)
    assert _works(config=_configuration(tmp_path, f'{address}token_env = "NATS_SECRET"'))


def test_nkey_seed(server_with, tmp_path):
    seed, public = _nkey(nkeys.PREFIX_BYTE_USER)
    server = server_with(f"authorization {{ users = [ {{ nkey: {public} }} ] }}\n")
    path = _seed_file(tmp_path / "web.nk", seed)
    assert _works(url_or_list=server.url, nkey_seed=path)
    assert _works(config=_configuration(tmp_path, f'url = "{server.url}"\nnkey_seed = "{path}"'))


def test_credentials_with_permissions_in_the_jwt(server_with, tmp_path):
    operator = Operator(tmp_path)
    server = server_with(operator.config)
    with basket.connect(server.url, credentials=operator.credentials("boss"), peel_id="boss") as boss:
        boss.protect_buckets()
        granted = operator.credentials("web-01", permissions("web-01"))
        assert _works(config=_configuration(tmp_path, f'url = "{server.url}"\ncredentials = "{granted}"'))
        with basket.connect(server.url, credentials=granted, peel_id="web-01") as b:
            b.publish("a", 1)
            assert [entry.value for entry in b.get("*", "a")] == [1]
            with pytest.raises(basket.PermissionDeniedError):
                b.delete("a", peel_id="boss") or b._basket.put("boss.a", b"\x01", deadline=time.monotonic() + 5)


def test_tls_with_an_authority_of_ones_own(server_with, authority, impostor, tmp_path):
    server = server_with(_tls_block(authority))
    secure = server.url.replace("nats://", "tls://")
    assert _works(url_or_list=secure, tls_ca=authority.path)
    assert _works(url_or_list=server.url, tls_ca=authority.path)
    assert _works(config=_configuration(tmp_path, f'url = "{secure}"\ntls = {{ ca = "{authority.path}" }}'))
    for untrusted in ({"tls_ca": impostor.path}, {}):
        with pytest.raises(basket.UnreachableError, match="certificate verify failed"):
            basket.connect(secure, peel_id="web-01", **untrusted)


def test_a_certificate_for_another_host_is_refused(server_with, authority):
    server = server_with(_tls_block(authority, "elsewhere", ("nats.example.com",)))
    with pytest.raises(basket.UnreachableError, match=r"127\.0\.0\.1"):
        basket.connect(server.url.replace("nats://", "tls://"), tls_ca=authority.path, peel_id="web-01")


def test_client_certificates(server_with, authority, impostor, tmp_path):
    server = server_with(_tls_block(authority, more="verify: true"))
    secure = server.url.replace("nats://", "tls://")
    cert, key = authority.issue("web-01")
    assert _works(url_or_list=secure, tls_ca=authority.path, tls_cert=cert, tls_key=key)
    tls = f'tls = {{ ca = "{authority.path}", cert = "{cert}", key = "{key}" }}'
    assert _works(config=_configuration(tmp_path, f'url = "{secure}"\n{tls}'))
    foreign_cert, foreign_key = impostor.issue("web-01")
    for ways in ({}, {"tls_cert": foreign_cert, "tls_key": foreign_key}):
        begun = time.monotonic()
        with pytest.raises(basket.ServerError):
            basket.connect(secure, tls_ca=authority.path, peel_id="web-01", **ways)
        assert time.monotonic() - begun < 2


def test_client_certificates_mapped_to_users(server_with, authority):
    users = 'authorization { users = [ { user: "CN=web-01" } ] }\n'
    server = server_with(_tls_block(authority, more="verify_and_map: true") + users)
    secure = server.url.replace("nats://", "tls://")
    cert, key = authority.issue("web-01")
    assert _works(url_or_list=secure, tls_ca=authority.path, tls_cert=cert, tls_key=key)
    cert, key = authority.issue("web-02")
    with pytest.raises(basket.AuthError):
        basket.connect(secure, tls_ca=authority.path, tls_cert=cert, tls_key=key, peel_id="web-02")


def test_tls_first(authority, tmp_path):
    # EmbeddedServer waits for a greeting in the clear, which this server never sends.
    from basket.embedded import EmbeddedServer

    port = _free_port()
    server = EmbeddedServer(str(tmp_path / "first"), port=port, config=_tls_block(authority, more="handshake_first: true"))
    server._wait_until_it_answers = lambda argv0, timeout: None
    server.start()
    try:
        text = f'url = "tls://127.0.0.1:{port}"\ntls = {{ ca = "{authority.path}", first = true }}'
        path = _configuration(tmp_path, text)
        _until_listening(port)
        assert _works(config=path)
    finally:
        server.stop()


def _free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def _until_listening(port):
    deadline = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline
            threading.Event().wait(0.02)


# -- refused --------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _plain_server():
    """Speaks NATS without TLS as a thief in the middle would, and keeps all it is told."""
    heard = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        info = {
                            "server_id": "x",
                            "version": "2.11.0",
                            "auth_required": True,
                            "max_payload": 1 << 20,
                            "nonce": "abc",
                        }
                        connection.sendall(b"INFO " + json.dumps(info).encode() + b"\r\n")
                        connection.settimeout(1)
                        while True:
                            data = connection.recv(65536)
                            if not data:
                                break
                            heard.extend(data)
                            if b"PING" in data:
                                connection.sendall(b"PONG\r\n")

        threading.Thread(target=serve, daemon=True).start()
        yield listening.getsockname()[1], heard
        listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("scheme,tls", [("tls", []), ("nats", ["tls_ca"]), ("tls", ["tls_ca"])])
def test_a_server_without_tls_hears_no_secret(authority, scheme, tls):
    """Whoever asks for TLS must never be talked down to plain text: the password would be anybody's."""
    ways = dict.fromkeys(tls, authority.path)
    with _plain_server() as (port, heard):
        begun = time.monotonic()
        with pytest.raises(basket.UnreachableError, match="does not speak TLS"):
            basket.connect(f"{scheme}://127.0.0.1:{port}", user="web", password=SECRET, peel_id="web-01", **ways)
        assert time.monotonic() - begun < 2
    assert not heard


def test_tls_on_a_real_server_without_it_is_refused(shared_server):
    with pytest.raises(basket.UnreachableError, match="does not speak TLS"):
        basket.connect(shared_server.url.replace("nats://", "tls://"), peel_id="web-01")


def _attempts(server):
    return server.log.read_text().count("authentication error")


def test_a_wrong_secret_is_refused_once_and_in_words(server_with, tmp_path, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    _, public = _nkey(nkeys.PREFIX_BYTE_USER)
    users = f'{{ user: web, password: "right" }}, {{ nkey: {public} }}'
    server = server_with(f"authorization {{ users = [ {users} ] }}\n")
    other = _seed_file(tmp_path / "other.nk", _nkey(nkeys.PREFIX_BYTE_USER)[0])
    ways = [
        {"user": "web", "password": SECRET},
        {"user": "nobody", "password": SECRET},
        {"token": SECRET},
        {"nkey_seed": other},
        {"credentials": Operator(tmp_path).credentials("foreign")},
        {},
    ]
    told = []
    for ways_in in ways:
        before, begun = _attempts(server), time.monotonic()
        with pytest.raises(basket.AuthError) as caught:
            basket.connect(server.url, peel_id="web-01", **ways_in)
        assert time.monotonic() - begun < 2
        assert _attempts(server) == before + 1, ways_in
        told.append(str(caught.value) + repr(caught.value))
    with pytest.raises(basket.AuthError) as caught:
        basket.connect(server.url.replace("://", f"://web:{SECRET}@"), peel_id="web-01")
    told.append(str(caught.value) + repr(caught.value))
    written = capfd.readouterr()
    for text in (*told, caplog.text, written.out, written.err):
        assert SECRET not in text


def _reload(server, config):
    # A server told on its command line what it may not change looks for that in the file alone when it reloads.
    (server.store / "server.conf").write_text(f'server_name: "{server.name}"\n{config}')
    server.process.send_signal(signal.SIGHUP)


def test_revoked_and_rotated_while_connected(server_with, tmp_path, until):
    """The old key is refused without hammering the server; the new one in the same file is found by itself."""
    (old, old_public), (new, new_public) = _nkey(nkeys.PREFIX_BYTE_USER), _nkey(nkeys.PREFIX_BYTE_USER)
    config = "authorization {{ users = [ {{ nkey: {} }} ] }}\n"
    server = server_with(config.format(old_public))
    path = tmp_path / "web.nk"
    with basket.connect(server.url, nkey_seed=_seed_file(path, old), peel_id="web-01") as b:
        b.publish("a", 1)
        _reload(server, config.format(new_public))
        until(lambda: isinstance(b.status().error, basket.AuthError))
        begun = time.monotonic()
        with pytest.raises(basket.AuthError):  # waiting for the connection until a deadline would not help
            b.value("web-01", "a")
        assert time.monotonic() - begun < 1
        threading.Event().wait(2.0)
        assert b.state == "suspended"
        assert 1 <= _attempts(server) <= 4
        _seed_file(path, new)
        until(lambda: b.state == "connected")
        assert b.value("web-01", "a") == 1


def test_a_password_file_is_read_anew_for_each_connection(server_with, tmp_path, until):
    config = "authorization {{ user: web, password: {} }}\n"
    server = server_with(config.format("old"))
    path = tmp_path / "password"
    path.write_text("old\n")
    path.chmod(0o600)
    text = f'url = "{server.url}"\nuser = "web"\npassword_file = "{path}"'
    with basket.connect(config=_configuration(tmp_path, text)) as b:
        b.publish("a", 1)
        _reload(server, config.format("new"))
        until(lambda: isinstance(b.status().error, basket.AuthError))
        path.write_text("new\n")
        until(lambda: b.state == "connected")
        assert b.value("web-01", "a") == 1


def test_credentials_are_read_anew_for_each_connection(server_with, tmp_path, until):
    """A JWT that ends is replaced in its file by whoever issues them, and nobody restarts the agents."""
    operator = Operator(tmp_path)
    server = server_with(operator.config)
    path = operator.credentials("web-01", exp=int(time.time()) + 2)
    with basket.connect(server.url, credentials=path, peel_id="web-01") as b:
        b.publish("a", 1)
        until(lambda: isinstance(b.status().error, basket.AuthError))
        with pytest.raises(basket.AuthError):
            b.value("web-01", "a")
        operator.credentials("web-01")
        until(lambda: b.state == "connected")
        assert b.value("web-01", "a") == 1


# -- mistakes --------------------------------------------------------------------------------------------------------------


def test_a_credentials_file_that_is_missing_or_none_is_told_even_by_a_server_that_asks_nobody(shared_server, tmp_path):
    """nats-py reads it only where the server asks: the mistake would show on another day, on another server."""
    junk = tmp_path / "junk.creds"
    junk.write_text("junk")
    with pytest.raises(basket.ConfigError, match=r"cannot read .*nowhere\.creds"):
        basket.connect(shared_server.url, peel_id="a", credentials=str(tmp_path / "nowhere.creds"))
    with pytest.raises(basket.ConfigError, match="is no credentials file"):
        basket.connect(shared_server.url, peel_id="a", credentials=str(junk))


def test_a_junk_seed_is_a_mistake_here_and_not_an_unreachable_server(shared_server, tmp_path):
    seed = tmp_path / "seed"
    seed.write_text("junk")
    with pytest.raises(basket.ConfigError, match="seed"):
        basket.connect(shared_server.url, peel_id="a", nkey_seed=str(seed))


@pytest.mark.parametrize("nothing", ["", [], " , "])
def test_no_address_is_not_the_default_address(nothing):
    """An unset variable in a script must not lead it to another server."""
    with pytest.raises(basket.ConfigError, match="no server address"):
        basket.connect(nothing, peel_id="a")


@pytest.mark.parametrize("alone", [{"user": "x"}, {"password": "x"}])
def test_half_a_login_is_refused(shared_server, alone):
    with pytest.raises(basket.ConfigError, match="go together"):
        basket.connect(shared_server.url, peel_id="a", **alone)


# -- secrets kept ---------------------------------------------------------------------------------------------------------


def test_secrets_are_in_no_repr(server_with):
    server = server_with(f'authorization {{ user: web, password: "{SECRET}" }}\n')
    with basket.connect(server.url.replace("://", f"://web:{SECRET}@"), peel_id="web-01") as b:
        shown = [repr(b), repr(b.status()), repr(b._link.settings), str(b._link.settings)]
    assert not [text for text in shown if SECRET in text]


def test_no_option_of_the_command_line_takes_a_secret(capsys):
    """What stands on a command line can be read by every user of the host."""
    from basket.cli.parser import build

    parser = build()
    commands = next(action for action in parser._actions if action.dest == "command").choices
    for each in (parser, *commands.values()):
        for action in each._actions:
            assert not {"--password", "--token", "--user", "--seed", "--secret"} & set(action.option_strings)
    with pytest.raises(SystemExit):
        parser.parse_args(["--help"])
    assert "password in it (ps)" in " ".join(capsys.readouterr().out.split())


def test_a_secret_file_that_others_can_read_is_warned_about_once(server_with, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(exposure, "_warned", set())
    seed, public = _nkey(nkeys.PREFIX_BYTE_USER)
    server = server_with(f"authorization {{ users = [ {{ nkey: {public} }} ] }}\n")
    path = tmp_path / "web.nk"
    _seed_file(path, seed)
    assert _works(url_or_list=server.url, nkey_seed=str(path))
    assert "chmod" not in caplog.text
    path.chmod(0o640)
    assert _works(url_or_list=server.url, nkey_seed=str(path))
    assert _works(url_or_list=server.url, nkey_seed=str(path))
    warned = [record for record in caplog.records if "chmod 600" in record.getMessage()]
    assert [record.fields["file"] for record in warned] == [str(path)]


def test_the_tls_version_is_a_present_day_one(authority):
    from basket.bus.settings import Settings

    context = Settings(tls_ca=authority.path).tls_context()
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert context.check_hostname and context.verify_mode == ssl.CERT_REQUIRED
