"""The configuration: TOML to frozen dataclasses, every error with file, line, table and key. Applies nothing.

``durations`` reads "5m"; ``sections`` holds the dataclasses; ``lines`` finds keys in the text; ``reading`` takes out typed
values; ``secrets``, ``scheduled``, ``targets``, ``templates`` and ``building`` know the settings; ``loading`` finds the file.
"""

from __future__ import annotations

from basket.config.durations import duration
from basket.config.loading import DEFAULT_FILE, load, parse
from basket.config.sections import (
    AgentSection,
    BasketSection,
    Config,
    FactsSection,
    NatsSection,
    PeelSection,
    Scheduled,
    TemplateSection,
    TlsSection,
)

__all__ = [
    "DEFAULT_FILE",
    "AgentSection",
    "BasketSection",
    "Config",
    "FactsSection",
    "NatsSection",
    "PeelSection",
    "Scheduled",
    "TemplateSection",
    "TlsSection",
    "duration",
    "load",
    "parse",
]
