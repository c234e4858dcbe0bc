"""The bounds in the description of the API that no declaration of an argument has: of ids in addresses, and those of
this installation's settings."""

from __future__ import annotations

from typing import Any

from pairscope.config import Settings
from pairscope.lab.language import TEXT_MAX
from pairscope.web.lab.exporting import FORMS
from pairscope.web.problems import KINDS
from pairscope.web.upload import FIELD_MAX

_ID = {"pattern": "^[0-9]{1,19}$", "maxLength": 19}
ADDRESSES: dict[str, dict[str, Any]] = {
    "message": _ID,
    "job": _ID,
    "run": _ID,
    "transfer": {"pattern": "^[0-9]{1,19}-[0-9]{1,3}$", "maxLength": 23},
    "serial": {"pattern": "^[0-9]{1,9}$", "maxLength": 9},
    "name": {"maxLength": 40},
    "kind": {"enum": sorted(KINDS)},
    "form": {"enum": list(FORMS)},
}
"""By the name of a parameter in an address, what it must be."""

LIMITS = {
    "Retry-After": {"description": "Seconds after which asking again may help.", "schema": {"type": "integer"}},
}
REFUSALS = {
    "413": "The body is larger than the bound that stands here.",
    "429": "This address asks for more than its share.",
    "503": "Something that is needed is away or full for now.",
}
"""What any operation may answer, with when to ask again where waiting helps."""


def add(document: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The document with the bounds in it."""
    problem = document["components"]["responses"]["DEFAULT_ERROR"]["content"]
    for path in document["paths"].values():
        for parameter in path.get("parameters", ()):
            parameter["schema"] |= ADDRESSES.get(parameter["name"], {})
        for operation in (path[method] for method in ("get", "post") if method in path):
            for status, words in REFUSALS.items():
                operation["responses"].setdefault(
                    status,
                    {"description": words, "content": problem} | ({} if status == "413" else {"headers": LIMITS}),
                )
    shapes = document["components"]["schemas"]
    shapes["JobArguments"]["properties"]["file"]["maxLength"] = settings.upload_max
    shapes["JobArguments"]["properties"]["data"]["maxLength"] = FIELD_MAX
    shapes["RunArguments"]["properties"]["text"]["maxLength"] = TEXT_MAX
    shapes["ScaleArguments"]["properties"]["workers"] |= {"minimum": 1, "maximum": settings.workers_max}
    return document
