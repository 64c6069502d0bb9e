"""Functions: what a peel can publish. Their registry, the check of their settings, and the running of one.

``define()`` turns a configured name into a checked ``Function`` (``foreign()`` tells which names only other packages may know,
``Plugins`` looks for all of them at once), ``run()`` computes its value in the calling thread,
``catalogue()`` lists what is there, ``stop_all()`` ends what is still running. When to run and what to do with a value
is the agent's business. Errors: ConfigError from ``define()``, FunctionError from ``run()``.

Kinds: built-in functions and dotted facts (by their names), ``value``, ``command``, ``file``, ``python``, functions that
other packages add, and aliases (``function = "network.ip_addrs"`` with arguments) of everything that has a name.

**Functions of other packages.** A distribution adds functions through the entry point group ``zester_basket.functions``,
the name of the entry point being the name of the function::

    [options.entry_points]
    zester_basket.functions =
        rack.position = mysite_racks:position

    def position(*, row_offset: int = 0, database: str = "/var/lib/racks.db"):
        '''Row and number of this host's rack.

        row_offset: added to the row
        '''
        return {"row": 3 + row_offset, "number": 7}

- It is called with keyword arguments only: whatever its table in the configuration holds besides ``interval`` and
  ``timeout``. The names are checked against its signature when the configuration is read (``**anything`` takes all).
- The docstring's first line is the summary that ``zester-basket functions`` shows; a line ``name: text`` describes an
  argument.
- It returns anything MessagePack can carry: None, booleans, numbers, strings, bytes, lists, maps, aware datetimes. An
  exception makes this function fail, with its type and message as the reason; the value published before stays.
- Each call has a **process of its own**, on its main thread, with the agent's import path, environment and working
  directory, /dev/null as standard input, and nothing kept from the call before. What it prints is not published. At its
  timeout that process and all its children are ended, so it may block as it likes.
- Only the entry points that a configuration names are imported, in such a process, never in the agent. (Showing the
  catalogue imports all of them, in the same way.)
- A name that is a built-in function or a fact cannot be taken over.
"""

from __future__ import annotations

from basket.functions.builtin import Builtin
from basket.functions.catalogue import catalogue
from basket.functions.definition import KEYS, define, foreign
from basket.functions.function import ENTRY_POINT_GROUP, Function
from basket.functions.python import Plugins
from basket.functions.running import run, stop_all

__all__ = ["ENTRY_POINT_GROUP", "KEYS", "Builtin", "Function", "Plugins", "catalogue", "define", "foreign", "run", "stop_all"]
