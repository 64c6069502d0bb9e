"""What breaks things: a proxy that spoils a link, a cluster of three, freezing; and a client that shares nothing with ours."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import threading
import time
import uuid

from harness import PAUSE, wait_for

import basket
from basket.embedded import EmbeddedServer


def free_port():
    """A port that is free now. Somebody else may take it before we do: whoever uses it tries again then."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Plain:
    """A client of a few lines that shares nothing with ours: asks a server what it knows. One request at a time."""

    def __init__(self, server, timeout=5.0):
        self._socket = socket.create_connection((server.host, server.port), timeout=timeout)
        self._socket.settimeout(timeout)
        self._lines = self._socket.makefile("rb")
        self._inbox = f"_INBOX.{uuid.uuid4().hex}"
        self._lines.readline()
        self._socket.sendall(b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\n')
        self._socket.sendall(f"SUB {self._inbox} 1\r\n".encode())

    def ask(self, subject, body=b""):
        """The data of the answer as JSON; OSError where none comes or nobody is there to give one."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self._socket.sendall(f"PUB {subject} {self._inbox} {len(data)}\r\n".encode() + data + b"\r\n")
        while True:
            line = self._lines.readline()
            if not line:
                raise OSError("the server has hung up")
            if line.startswith(b"PING"):
                self._socket.sendall(b"PONG\r\n")
            elif line.startswith((b"MSG ", b"HMSG ")):
                payload = self._lines.read(int(line.split()[-1]) + 2)[:-2]
                if line.startswith(b"HMSG"):
                    raise OSError(payload[:40].decode())
                return json.loads(payload)

    def close(self):
        self._lines.close()
        self._socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def stream_info(server, bucket="basket", timeout=2.0):
    """What the server says of a bucket's stream: config, state, cluster."""
    with Plain(server, timeout) as plain:
        answer = plain.ask(f"$JS.API.STREAM.INFO.KV_{bucket}")
    if "error" in answer:
        raise OSError(str(answer["error"]))
    return answer


def consumers(server, bucket="basket"):
    """The names of the consumers that the bucket's stream has now."""
    with Plain(server) as plain:
        return plain.ask(f"$JS.API.CONSUMER.NAMES.KV_{bucket}").get("consumers") or []


class Proxy:
    """Stands between clients and ``target`` (host, port) and spoils what passes through.

    ``delay``: seconds that each piece of data is held up, in each direction; ``bandwidth``: bytes a second, in each direction;
    ``hole``: takes everything, passes on nothing. All of it may be changed at any time. ``accepted`` counts connections.
    """

    def __init__(self, target):
        self.target = target
        self.delay = 0.0
        self.bandwidth = 0
        self.hole = False
        self.accepted = 0
        self._pairs = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._closed = threading.Event()
        threading.Thread(target=self._accept, name="proxy-accept", daemon=True).start()

    @property
    def url(self):
        return f"nats://127.0.0.1:{self.port}"

    @property
    def open(self):
        """How many connections pass through now."""
        with self._lock:
            return len(self._pairs)

    def _accept(self):
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            try:
                server = socket.create_connection(self.target, timeout=5)
            except OSError:
                client.close()
                continue
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                one.settimeout(None)
            pair = (client, server)
            with self._lock:
                self._pairs.append(pair)
            for source, sink in (pair, pair[::-1]):
                queue = _Delayed(self, sink)
                threading.Thread(target=self._pump, args=(source, queue, pair), name="proxy-pump", daemon=True).start()

    def _pump(self, source, queue, pair):
        try:
            while True:
                # Where there is a limit, small bites: a large one would pass at once, and then nothing for long.
                data = source.recv(max(256, self.bandwidth // 20) if self.bandwidth else 1 << 16)
                if not data:
                    break
                if self.hole:
                    continue
                if self.bandwidth:
                    PAUSE.wait(len(data) / self.bandwidth)
                queue.put(data)
        except OSError:
            pass
        finally:
            queue.put(None)
            self._drop(pair)

    def _drop(self, pair, reset=False):
        with self._lock:
            if pair in self._pairs:
                self._pairs.remove(pair)
        for one in pair:
            try:
                if reset:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            if reset:
                one.close()

    def cut(self):
        """End every connection of this moment, without a farewell."""
        with self._lock:
            pairs = list(self._pairs)
        for pair in pairs:
            self._drop(pair, reset=True)
        return len(pairs)

    def close(self):
        self._closed.set()
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        self.cut()


class _Delayed:
    """Passes data on to ``sink`` in its order, each piece ``proxy.delay`` seconds after it came."""

    def __init__(self, proxy, sink):
        self._proxy = proxy
        self._sink = sink
        self._waiting = []
        self._changed = threading.Condition()
        self._thread = None

    def put(self, data):
        with self._changed:
            if self._thread is None and not self._proxy.delay:
                if data is not None:
                    self._sink.sendall(data)
                return
            if self._thread is None:  # from the first delay on, everything of this connection goes through here
                self._thread = threading.Thread(target=self._run, name="proxy-delay", daemon=True)
                self._thread.start()
            self._waiting.append((time.monotonic() + self._proxy.delay, data))
            self._changed.notify()

    def _run(self):
        while True:
            with self._changed:
                while not self._waiting:
                    self._changed.wait()
                due, data = self._waiting.pop(0)
            if data is None:
                return
            PAUSE.wait(max(0.0, due - time.monotonic()))
            try:
                self._sink.sendall(data)
            except OSError:
                return


class Cluster:
    """Three servers that form one JetStream. ``nodes[i].kill()``, ``.stop()`` and ``.start()`` as usual."""

    def __init__(self, directory, count=3, extra=""):
        self._extra = extra
        for attempt in range(5):
            routes = [free_port() for _ in range(count)]
            self.nodes = [
                EmbeddedServer(str(directory / f"try{attempt}-node{index}"), config=self._config(index, routes))
                for index in range(count)
            ]
            try:
                for node in self.nodes:
                    node.start()
                break
            except basket.BasketError:  # somebody took one of the ports
                self.stop()
        else:
            raise AssertionError("no free ports for a cluster")
        self.ready()

    def _config(self, index, routes):
        others = ", ".join(f'"nats-route://127.0.0.1:{port}"' for port in routes)
        listen = f"127.0.0.1:{routes[index]}"
        # Not advertised: what a client knows of the cluster is what the test told it.
        return f'cluster {{ name: chaos, listen: "{listen}", no_advertise: true, routes: [{others}] }}\n{self._extra}\n'

    @property
    def urls(self):
        return [node.url for node in self.nodes]

    @property
    def alive(self):
        return [node for node in self.nodes if node.process is not None and node.process.poll() is None]

    def ready(self):
        """Wait until it has a leader and can give a new stream three replicas."""
        wait_for(self._can_make_streams, what="the cluster's start")

    def _can_make_streams(self):
        name = f"probe{uuid.uuid4().hex[:8]}"
        config = {"name": name, "subjects": [name], "num_replicas": len(self.nodes), "storage": "memory"}
        with Plain(self.nodes[0], 3.0) as plain:
            made = plain.ask(f"$JS.API.STREAM.CREATE.{name}", config)
            plain.ask(f"$JS.API.STREAM.DELETE.{name}")
        return "error" not in made

    def mend(self):
        """All servers run, and there is no stream."""
        for node in self.nodes:
            thaw(node)
            node.start()
        self.ready()
        with Plain(self.nodes[0]) as plain:
            for name in plain.ask("$JS.API.STREAM.NAMES").get("streams") or []:
                plain.ask(f"$JS.API.STREAM.DELETE.{name}")

    def info(self, bucket="basket"):
        """The stream's info, from whichever server answers."""
        for node in self.alive:
            try:
                return stream_info(node, bucket)
            except OSError:
                continue
        raise OSError("no server of the cluster answers")

    def leader(self, bucket="basket"):
        """The server that leads the bucket's stream now."""
        name = wait_for(lambda: self.info(bucket)["cluster"].get("leader"), what=f"a leader of {bucket}")
        return next(node for node in self.nodes if node.name == name)

    def in_step(self, bucket="basket"):
        """Whether the stream has its leader and all replicas hold everything."""
        cluster = self.info(bucket)["cluster"]
        replicas = cluster.get("replicas") or []
        return (
            bool(cluster.get("leader"))
            and len(replicas) == len(self.nodes) - 1
            and all(r.get("current") and not r.get("offline") for r in replicas)
        )

    def stop(self):
        for node in self.nodes:
            thaw(node)
            node.kill()


def freeze(server):
    """Neither alive nor dead: connections stay open, nothing is answered."""
    os.kill(server.process.pid, signal.SIGSTOP)


def thaw(server):
    if server.process is not None and server.process.poll() is None:
        os.kill(server.process.pid, signal.SIGCONT)
