"""[[template]]: which files are kept current, from what, and which commands go with them."""

from __future__ import annotations

import re
from typing import Collection, Dict, Mapping, Optional, Tuple

from basket.config.reading import Table, kind, seconds_between
from basket.config.sections import TemplateSection

TEMPLATE_KEYS = ("source", "destination", "check", "reload", "wait", "timeout", "mode", "owner", "group", "backup")

_MODE = re.compile(r"0?[0-7]{3,4}\Z")


def read_templates(root: Table, elsewhere: Mapping[str, Collection[str]]) -> Tuple[TemplateSection, ...]:
    """The templates of the file, in its order; ``elsewhere`` as in Table."""
    listed = root.values.get("template", [])
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise root.error("template", "there can be several, so it is written [[template]], with two brackets")
    found = []
    homes: Dict[str, int] = {}
    for index, values in enumerate(listed):
        table = Table(root.document, ("template", index), values, TEMPLATE_KEYS, elsewhere)
        template = _template(table)
        if template.destination in homes:
            raise table.error("destination", f"number {homes[template.destination] + 1} writes the same file")
        homes[template.destination] = index
        found.append(template)
    return tuple(found)


def _template(table: Table) -> TemplateSection:
    source, destination = table.file_path("source"), table.file_path("destination")
    if source is None or destination is None:
        raise table.error("", f"has no {'source' if source is None else 'destination'}")
    return TemplateSection(
        source=source,
        destination=destination,
        check=table.strings("check", '["haproxy", "-c", "-f", "{path}"]'),
        reload=table.strings("reload", '["systemctl", "reload", "haproxy"]'),
        wait=_wait(table),
        timeout=table.seconds("timeout", TemplateSection.timeout, 0.1, 3600.0),
        mode=_mode(table),
        owner=table.text("owner", '"root"'),
        group=table.text("group", '"haproxy"'),
        backup=table.flag("backup", TemplateSection.backup),
    )


def file_mode(text: str) -> int:
    """The permissions in ``text``, octal as chmod takes them. ValueError in words to show."""
    if not _MODE.match(text):
        raise ValueError(f'expected permissions as chmod takes them, such as "0640", not {text!r}')
    return int(text, 8)


def _mode(table: Table) -> Optional[int]:
    value = table.values.get("mode")
    if value is None:
        return None
    if not isinstance(value, str):  # 640 would be read as decimal
        raise table.error("mode", f'expected permissions as a string, such as "0640", not {kind(value)}')
    try:
        return file_mode(value)
    except ValueError as error:
        raise table.error("mode", str(error)) from None


def _wait(table: Table) -> Tuple[float, float]:
    value = table.values.get("wait")
    if value is None:
        return TemplateSection.wait
    if not isinstance(value, list) or len(value) != 2:
        raise table.error("wait", 'expected the quiet time and the most to wait for it, such as ["1s", "10s"]')
    try:
        quiet, most = (seconds_between(item, 0.0, 86400.0) for item in value)
    except ValueError as error:
        raise table.error("wait", str(error)) from None
    if most < quiet:
        raise table.error("wait", f"the quiet time ({quiet:g}s) is longer than the most to wait for it ({most:g}s)")
    return quiet, most
