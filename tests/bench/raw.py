"""What a good script would do with plain nats-py: its public ways, the fastest of each kind. On a loop of its own, on the
thread that calls."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any, Awaitable, Callable, Dict, List, Mapping, Optional, Sequence

import msgpack
import nats
from nats.js.api import StreamConfig


class Raw:
    """One connection of nats-py with a loop that runs only inside these calls."""

    def __init__(self, url: str) -> None:
        self.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)  # Python 3.8 takes the thread's loop for every event made outside of one
        self.nc: Any = self.run(nats.connect(url))
        self.js: Any = self.nc.jetstream(timeout=30)
        self._buckets: Dict[str, Any] = {}

    def run(self, work: Awaitable[Any]) -> Any:
        return self.loop.run_until_complete(work)

    def close(self) -> None:
        self.run(self.nc.close())
        left = asyncio.all_tasks(self.loop)  # a subscription that was ended leaves its task behind
        for task in left:
            task.cancel()
        if left:
            self.run(asyncio.wait(left, timeout=5))
        asyncio.set_event_loop(None)
        self.loop.close()

    def timed(self, work: Callable[[], Awaitable[Any]], calls: int = 1) -> Callable[[], float]:
        """Seconds of one call, measured inside the loop: starting and stopping it is not nats-py's cost."""

        async def sample() -> float:
            begun = time.perf_counter()
            for _ in range(calls):
                await work()
            return (time.perf_counter() - begun) / calls

        return lambda: self.run(sample())

    # -- single keys --------------------------------------------------------------------------------------------------

    def bucket(self, name: str) -> Any:
        """The bucket as nats-py's KeyValue."""
        if name not in self._buckets:
            self._buckets[name] = self.run(self.js.key_value(name))
        return self._buckets[name]

    def make_lasting_heartbeats(self) -> None:
        """The heartbeat bucket without its time to live, so that a fleet stays alive for as long as we measure."""
        config = StreamConfig(
            name="KV_peel-heartbeat",
            subjects=["$KV.peel-heartbeat.>"],
            max_msgs_per_subject=1,
            allow_direct=True,
            allow_rollup_hdrs=True,
            deny_delete=True,
        )
        self.run(self.js.add_stream(config))

    async def sequential(self, bucket: str, keys: Sequence[str]) -> Dict[str, Any]:
        """One get after the other."""
        kv = self._buckets[bucket]
        return {key: msgpack.unpackb((await kv.get(key)).value) for key in keys}

    # -- many ---------------------------------------------------------------------------------------------------------

    async def fetch(self, bucket: str, pattern: str) -> Dict[str, Any]:
        """Batched direct gets through a subscription, decoded; subject -> value. A callback is the fastest subscription that
        nats-py has: iterating over its messages takes 1.5 to 2 times as long, ``next_msg`` 2 to 3 times."""
        found: Dict[str, Any] = {}
        start = 1
        while True:
            ended = asyncio.get_running_loop().create_future()
            last = [0]

            async def receive(message: Any, ended: Any = ended, last: List[int] = last) -> None:
                headers = message.headers
                if "Status" in headers:
                    ended.set_result(headers)
                    return
                last[0] = headers["Nats-Sequence"]
                found[headers["Nats-Subject"]] = msgpack.unpackb(message.data)

            inbox = self.nc.new_inbox()
            subscription = await self.nc.subscribe(inbox, cb=receive)
            body = {"seq": start, "next_by_subj": f"$KV.{bucket}.{pattern}", "batch": 1_000_000}
            await self.nc.publish(f"$JS.API.DIRECT.GET.KV_{bucket}", json.dumps(body).encode(), reply=inbox)
            end = await asyncio.wait_for(ended, 60)
            await subscription.unsubscribe()
            if end.get("Nats-Num-Pending", "0") == "0":
                return found
            start = int(last[0]) + 1

    async def watched(self, bucket: str, pattern: str) -> Dict[str, Any]:
        """The same for servers without batches: the start of a watch."""
        found: Dict[str, Any] = {}
        watcher = await self._buckets[bucket].watch(pattern)
        async for entry in watcher:
            if entry is None:
                break
            found[entry.key] = msgpack.unpackb(entry.value)
        await watcher.stop()
        return found

    async def publish_all(self, values: Mapping[str, bytes], headers: Optional[Dict[str, str]] = None) -> None:
        """Pipelined, all acknowledged at the end. Subject -> data."""
        acknowledgements = [await self.js.publish_async(subject, data, headers=headers) for subject, data in values.items()]
        await self.js.publish_async_completed()
        for acknowledgement in acknowledgements:
            acknowledgement.result()

    def fill(self, bucket: str, values: Mapping[str, Any]) -> None:
        """Store ``values`` (key -> value) as agents do, who name the revision that theirs follows."""
        packed = {f"$KV.{bucket}.{key}": msgpack.packb(value) for key, value in values.items()}
        self.run(self.publish_all(packed, {"Nats-Expected-Last-Subject-Sequence": "0"}))
