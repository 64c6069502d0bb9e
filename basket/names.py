"""What the server knows us by: the names that every implementation shares. Imports nothing."""

from __future__ import annotations

VALUES, FACTS, HEARTBEATS = "basket", "facts", "peel-heartbeat"
"""The buckets."""

RESOLVE = "zester.target.resolve"
"""The subject on which others are asked which peels a target selects."""

RESOLVERS = "zester-target-resolvers"
"""The queue group of those who answer."""
