"""``python -m basket.cli``: the command line of a package that is not installed."""

from __future__ import annotations

import sys

from basket.cli.program import main

if __name__ == "__main__":
    sys.exit(main())
