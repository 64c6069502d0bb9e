"""``/healthz``, ``/readyz`` and ``/metrics`` on a loopback address: the thread ``basket-http``. Only where configured.

Healthy: the main thread turns. Ready: connected, and every function has been published, or failed, at least once.
"""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import ThreadingMixIn
from typing import Any, Callable, Dict, Optional, Tuple

import basket
from basket.agent.vitals import Snapshot
from basket.logs import Log

log = Log("basket.agent")

PULSE_EVERY = 2.0
"""Seconds between two signs of life of the main thread, where somebody may ask for them."""

DEAD_AFTER = 10.0
"""Seconds without one after which it counts as hanging."""

PATIENCE = 5.0
"""Seconds that a client may take for each part of its request."""

AT_ONCE = 8
"""Requests answered at the same time; further ones are turned away, since no monitoring asks that often."""

Answer = Tuple[int, str, bytes]
"""Status, content type, body."""


class _Server(ThreadingMixIn, HTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 32

    def __init__(self, address: Tuple[str, int], answer: Callable[[str], Optional[Answer]]) -> None:
        self.answer = answer
        self._room = threading.BoundedSemaphore(AT_ONCE)
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer's own asks the resolver for the name of the address, which may take half a minute.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        threading.current_thread().name = "basket-http-request"
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        log.debug("a request over HTTP failed")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = PATIENCE
    server_version = f"zester-basket/{basket.__version__}"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        status, kind, body = self.server.answer(path) or (404, "text/plain", b"there are /healthz, /readyz and /metrics\n")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Health:
    """Answers from ``snapshot``, which is called on its threads. ``start`` raises OSError where it cannot listen."""

    def __init__(self, address: Tuple[str, int], snapshot: Callable[[], Snapshot]) -> None:
        self._address = address
        self._snapshot = snapshot
        self._server: Optional[_Server] = None
        self._thread: Optional[threading.Thread] = None

    @property
    def url(self) -> str:
        """Where it listens, once it does."""
        host, port = self._address if self._server is None else self._server.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    def start(self) -> None:
        if self._server is not None:
            return
        self._server = _Server(self._address, self._answer)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 3600.0}, name="basket-http", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Bounded in time, any number of times."""
        server, self._server = self._server, None
        if server is None or self._thread is None:
            return
        stopper = threading.Thread(target=server.shutdown, name="basket-http-stop", daemon=True)
        stopper.start()
        # It sleeps until somebody comes: so we do, which costs an idle agent no wake-ups.
        try:
            host = "::1" if server.address_family == socket.AF_INET6 else "127.0.0.1"
            bound = str(server.server_address[0])
            socket.create_connection((host if bound in ("0.0.0.0", "::") else bound, server.server_port), timeout=1.0).close()
        except OSError:
            pass
        stopper.join(2.0)
        server.server_close()
        self._thread.join(1.0)

    def _answer(self, path: str) -> Optional[Answer]:
        if path == "/healthz":
            return _json(*healthy(self._snapshot()))
        if path == "/readyz":
            return _json(*ready(self._snapshot()))
        if path == "/metrics":
            try:
                from basket.agent import metrics
            except ImportError:
                return 501, "text/plain", b"metrics need prometheus_client: pip install 'zester-basket[metrics]'\n"
            kind, body = metrics.text(self._snapshot())
            return 200, kind, body
        return None


def healthy(now: Snapshot) -> Tuple[bool, Dict[str, Any]]:
    """Whether the agent does its work; restarting it is the cure where not."""
    alive = now.pulse < DEAD_AFTER
    return alive, {"healthy": alive, "peel": now.peel_id, "turned_seconds_ago": round(now.pulse, 3)}


def ready(now: Snapshot) -> Tuple[bool, Dict[str, Any]]:
    """Whether others find here what they are to find; nothing to restart for."""
    waiting = list(now.unsettled)
    fine = now.state == "connected" and not waiting
    failing = {name: done.reason for name, done in sorted(now.functions.items()) if done.reason is not None}
    return fine, {"ready": fine, "peel": now.peel_id, "nats": now.state, "not_yet_published": waiting, "failing": failing}


def _json(fine: bool, body: Dict[str, Any]) -> Answer:
    return 200 if fine else 503, "application/json", json.dumps(body).encode() + b"\n"
