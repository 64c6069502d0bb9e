"""The ``disk`` section: mounted file systems of real devices, and how full they are.

Network file systems are left out: asking one whose server is gone blocks for ever.
"""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Tuple

from basket.facts.part import PATH_MAX, Part, text

MOUNTS_MAX = 128
"""Most mounts in one document: some container hosts have thousands."""


def mounts() -> List[Dict[str, Any]]:
    """One map for each mounted file system of a real device, and always ``/``, ordered by mount point. Sizes in bytes.

    As in ``df``, a file system that is mounted in several places appears once, under the shortest path.
    """
    import psutil

    partitions = psutil.disk_partitions(all=False)
    if not any(partition.mountpoint == "/" for partition in partitions):  # a container's root is no device
        partitions += [partition for partition in psutil.disk_partitions(all=True) if partition.mountpoint == "/"][-1:]

    chosen: Dict[int, Tuple[str, Any]] = {}
    for partition in sorted(partitions, key=lambda partition: (len(partition.mountpoint), partition.mountpoint)):
        path = partition.mountpoint
        try:
            if os.path.isdir(path):  # containers mount single files, /etc/hosts among them
                chosen.setdefault(os.stat(path).st_dev, (path, partition))
        except OSError:
            continue

    found: List[Dict[str, Any]] = []
    for path, partition in sorted(chosen.values(), key=lambda pair: pair[0])[:MOUNTS_MAX]:
        try:
            usage = psutil.disk_usage(path)
        except OSError:  # unmounted since, or not for us to see
            continue
        found.append(
            {
                "device": text(partition.device, PATH_MAX),
                "mountpoint": text(path, PATH_MAX),
                "fstype": text(partition.fstype),
                "opts": [text(word) for word in partition.opts.split(",")[:64]],
                "total": usage.total,
                "used": usage.used,
                "free": usage.free,
                "used_percent": float(usage.percent),
            }
        )
    return found


def _mounts() -> Mapping[str, Any]:
    return {"mounts": mounts()}


PARTS = (Part(("mounts",), _mounts),)
