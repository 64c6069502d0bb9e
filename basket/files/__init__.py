"""Files seen from outside: that one has changed (``watching``), and which directories decide that (``symlinks``).

What stands in them, and what to do about it, is known to those who watch.
"""

from __future__ import annotations
