"""What the shapes of the API are made of: ids, times and bytes as JSON has them, and what a field says of itself."""

from __future__ import annotations

import base64
from typing import Any

from marshmallow import fields

from pairscope.web.words import stamp


def about(text: str, **more: Any) -> dict[str, Any]:
    """Metadata for the description of the API: `text` is what the field means."""
    return {"metadata": {"description": text, **more}}


class Id(fields.String):
    """A signed 63-bit number as a string: JSON's readers keep 53 bits."""

    def _serialize(self, value: Any, *args: Any, **kwargs: Any) -> str | None:
        return None if value is None else str(value)


class Time(fields.String):
    """ns since 1970 as RFC 3339 in UTC with nine digits."""

    def _serialize(self, value: Any, *args: Any, **kwargs: Any) -> str | None:
        return stamp(value)


class Whole(fields.Integer):
    """A whole number as JSON Schema has it: 4.0 is one, 4.5 is none, nor is "4"."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(strict=True, **kwargs)

    def _deserialize(self, value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        return super()._deserialize(value, *args, **kwargs)


class Bytes(fields.String):
    """Bytes in base64."""

    def _serialize(self, value: Any, *args: Any, **kwargs: Any) -> str | None:
        return None if value is None else base64.b64encode(value).decode()
