"""docs/architecture.md is the house as it stands: every room is drawn, none calls one below it, every thread has its line."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
ROOMS, THREADS = PAGE.split("\n## ")[0], PAGE.split("\n## ")[1]
RANK = {
    room: rank
    for rank, row in enumerate(re.findall(r"^\| (`.*?`) \|", ROOMS, flags=re.MULTILINE))
    for room in re.findall(r"`(\w+)(?:/|\.py)`", row)
}
SOURCES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "basket").rglob("*.py")}


def room_of(path):
    return path.relative_to(ROOT / "basket").parts[0].replace(".py", "")


def imported(tree):
    """The modules that a file imports, at once or later; not what is there for type checkers only."""
    typing = [node for node in ast.walk(tree) if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"]
    unseen = {id(inner) for node in typing for body in node.body for inner in ast.walk(body)}
    for node in ast.walk(tree):
        if id(node) in unseen:
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_every_room_is_drawn_and_no_other():
    assert set(RANK) == {room_of(path) for path in SOURCES} - {"__init__", "__main__"}


def test_no_room_calls_one_below_it():
    for path, tree in SOURCES.items():
        for module in imported(tree):
            room = (module.split(".") + [""])[1] if module.startswith("basket.") else ""
            assert RANK.get(room, 0) <= RANK.get(room_of(path), len(RANK)), f"{path} imports {module}"


def test_asyncio_and_nats_live_in_one_room():
    found = {
        room_of(path) for path, tree in SOURCES.items() for name in imported(tree) if name.split(".")[0] in ("asyncio", "nats")
    }
    assert found == {"bus"}


def test_every_thread_has_its_line():
    texts = {node.value for tree in SOURCES.values() for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    names = {text for text in texts if isinstance(text, str) and re.fullmatch(r"basket-[a-z-]+", text)}
    assert names == set(re.findall(r"`(basket-[a-z-]+)…?`", THREADS))
