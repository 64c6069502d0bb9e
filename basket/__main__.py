"""``python -m basket``: the same as the ``zester-basket`` command."""

from __future__ import annotations

import sys

from basket.cli.program import main

if __name__ == "__main__":
    sys.exit(main())
