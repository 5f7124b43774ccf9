"""Lazy attributes of a package (PEP 562), so that importing it stays light."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def attach(
    package: str, where: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Make the ``__getattr__``, ``__dir__`` and ``__all__`` of a package that imports its names on first use.

    Parameters
    ----------
    package : str
        ``__name__`` of the package.
    where : mapping of str to str
        Public name to the submodule that defines it, relative to `package` (``"errors"``). A name equal to
        its submodule stands for the submodule itself.

    Returns
    -------
    tuple
        ``(__getattr__, __dir__, __all__)`` for the package's namespace.
    """
    names = sorted(where)

    def load(name: str) -> Any:
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(f"{package}.{where[name]}")
        value = module if name == where[name] else getattr(module, name)
        setattr(sys.modules[package], name, value)
        return value

    def listing() -> list[str]:
        return sorted({*vars(sys.modules[package]), *names})

    return load, listing, names
