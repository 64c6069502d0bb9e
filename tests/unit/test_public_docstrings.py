"""Everything that others may call says what it is: the generated reference is made of nothing else."""

from __future__ import annotations

import importlib
import importlib.util
import inspect

import pytest

import basket

ROOMS = (
    "basket.config",
    "basket.errors",
    "basket.facts",
    "basket.functions",
    "basket.target",
    "basket.checking",
    "basket.embedded",
)


def named():
    """(name, thing) of what the package and its rooms give away."""
    for name in basket.__all__:
        yield f"basket.{name}", getattr(basket, name)
    for room in ROOMS:
        module = importlib.import_module(room)
        names = getattr(module, "__all__", None) or [n for n in vars(module) if not n.startswith("_")]
        for name in names:
            thing = getattr(module, name)
            if (inspect.isclass(thing) or inspect.isfunction(thing)) and thing.__module__.startswith("basket"):
                yield f"{room}.{name}", thing


def members(thing):
    """The public methods and properties that a class of ours defines itself."""
    for name, member in vars(thing).items():
        if name.startswith("_"):
            continue
        if inspect.isfunction(member) or isinstance(member, (property, classmethod, staticmethod)):
            yield name, member


def test_every_public_name_has_a_docstring():
    bare = [name for name, thing in named() if callable(thing) and not inspect.getdoc(thing)]
    assert bare == []


@pytest.mark.parametrize("name", ["Basket", "Watch", "Mirror", "Entry", "Peel", "Change", "Status"])
def test_every_public_method_has_a_docstring(name):
    # What Python itself names, and everybody knows: __enter__ and its kin begin with an underscore.
    bare = [member for member, thing in members(getattr(basket, name)) if not inspect.getdoc(thing)]
    assert bare == []


def test_every_module_says_what_it_owns():
    import pkgutil

    bare = []
    for found in pkgutil.walk_packages(basket.__path__, "basket."):
        spec = importlib.util.find_spec(found.name)
        source = spec.loader.get_source(found.name)
        if source.strip() and not source.lstrip().startswith(('"""', 'r"""', "#")):
            bare.append(found.name)
    assert bare == []


def test_the_package_is_typed():
    from pathlib import Path

    assert (Path(basket.__file__).parent / "py.typed").exists()
