"""From a Salt minion's mine to our configuration. Reads YAML, writes TOML, runs nothing.

``reading`` takes the mine's functions out of minion configuration and pillar files; ``table`` says which function of ours
stands for which of Salt's, ``grains`` which fact for which grain, ``commands`` turns cmd.run into an argument list;
``writing`` is the TOML. ``translating`` puts them together.
"""

from __future__ import annotations

from basket.salt.reading import Mine, Mined, read
from basket.salt.translating import Note, Translation, translate

__all__ = ["Mine", "Mined", "Note", "Translation", "read", "translate"]
