"""The jobs, each one file. Whatever lies in this package is in the catalogue: nothing is registered elsewhere."""

from __future__ import annotations

import importlib
import pkgutil

from pairscope.work.job import JobKind


def catalogue() -> dict[str, JobKind]:
    """Every job of this package by its name, in the order of names. Imports their libraries: only a worker calls
    this."""
    found: dict[str, JobKind] = {}
    for module_info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        for item in vars(module).values():
            if isinstance(item, type) and issubclass(item, JobKind) and item.__module__ == module.__name__:
                if item.name in found:
                    raise ValueError(
                        f"two jobs are named {item.name}: {type(found[item.name]).__module__} and {item.__module__}"
                    )
                found[item.name] = item()
    return dict(sorted(found.items()))
