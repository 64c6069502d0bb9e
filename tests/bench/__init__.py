"""Measures this package against plain nats-py, side by side on one server in one run: ``bin/bench``."""
