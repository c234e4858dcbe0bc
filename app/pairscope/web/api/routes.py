"""The blueprint that all of the API's routes stand on: how a request is read, and what is said of it."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import marshmallow
from flask import Request, Response, jsonify
from flask_smorest import Blueprint as SmorestBlueprint
from flask_smorest import current_api
from webargs.flaskparser import FlaskParser
from webargs.multidictproxy import MultiDictProxy
from werkzeug.datastructures import MultiDict

from pairscope.ipc.nesting import excess
from pairscope.web import reach
from pairscope.web.access import open_to_all
from pairscope.web.api import bounds
from pairscope.web.problems import KINDS, Problem

ID_MAX = 2**63 - 1


class Parser(FlaskParser):
    """Reads arguments; what is wrong with them is a problem that says for each what was expected."""

    DEFAULT_VALIDATION_STATUS = 400
    DEFAULT_UNKNOWN_BY_LOCATION = {
        **FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION,
        "query": marshmallow.RAISE,
        "multipart": marshmallow.INCLUDE,
    }

    def load_multipart(self, request: Request, schema: marshmallow.Schema) -> Any:
        """Text fields and files together."""
        if request.mimetype not in ("multipart/form-data", "application/x-www-form-urlencoded"):
            raise Problem(
                "wrong-media",
                f"The body is {request.mimetype or 'of no media type'}; expected multipart/form-data, as curl "
                "-F sends it.",
            )
        fields: MultiDict[str, Any] = MultiDict(request.form)
        fields.update(request.files)
        return MultiDictProxy(fields, schema)

    def load_json(self, request: Request, schema: marshmallow.Schema) -> Any:
        if not request.is_json:
            raise Problem(
                "wrong-media", f"The body is {request.mimetype or 'of no media type'}; expected application/json."
            )
        try:
            given = super().load_json(request, schema)
        except RecursionError:
            raise Problem("bad-request", "The body is JSON that is nested too deeply; expected one object.") from None
        except ValueError:
            raise Problem(
                "bad-request", "The body holds a number of thousands of digits; expected one that fits 64 bits."
            ) from None
        if not isinstance(given, dict):
            raise Problem(
                "bad-request", f"The body is JSON, and no object; expected one with {', '.join(schema.fields)}."
            )
        if why := excess(given):
            raise Problem("bad-request", f"The body cannot be taken: {why}.")
        try:
            json.dumps(given, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            raise Problem(
                "bad-request", "The body holds half of a surrogate pair, which is no character; expected whole ones."
            ) from None
        return given

    __location_map__ = {**FlaskParser.__location_map__, "multipart": "load_multipart"}

    def handle_error(
        self, error: marshmallow.ValidationError, req: Request, schema: marshmallow.Schema, **kwargs: Any
    ) -> NoReturn:
        wrong = []
        for fields in error.normalized_messages().values():
            for name, messages in fields.items() if isinstance(fields, dict) else ():
                if name in schema.fields:
                    wrong.append(f"{name}: {' '.join(_flat(messages))}")
                else:
                    wrong.append(f"{name[:60]} is not known here; expected {', '.join(schema.fields)}.")
        raise Problem("wrong-argument", " ".join(wrong) or "The arguments do not fit.") from None

    def _handle_invalid_json_error(self, error: Any, req: Request, *args: Any, **kwargs: Any) -> NoReturn:
        raise Problem("bad-request", "The body is not JSON in UTF-8.") from None


def _flat(messages: Any) -> list[str]:
    if isinstance(messages, dict):
        return [text for inner in messages.values() for text in _flat(inner)]
    return [str(text) for text in (messages if isinstance(messages, list) else [messages])]


class Blueprint(SmorestBlueprint):
    ARGUMENTS_PARSER = Parser()
    DEFAULT_LOCATION_CONTENT_TYPE_MAPPING = {
        **SmorestBlueprint.DEFAULT_LOCATION_CONTENT_TYPE_MAPPING,
        "multipart": "multipart/form-data",
    }


blueprint = Blueprint("api", __name__, url_prefix="/api/v1", description="Version 1.")


def number(text: str, kind: str, what: str) -> int:
    """An id from an address. Raises Problem of `kind` for anything that is no positive signed 63-bit number."""
    if not re.fullmatch(r"[0-9]{1,19}", text) or not 0 < int(text) <= ID_MAX:
        raise Problem(kind, f"{text[:60]!r} is no id of a {what}; expected a whole number such as 123456789.")
    return int(text)


@blueprint.get("/openapi.json")
@open_to_all
@blueprint.doc(summary="This description, as OpenAPI 3.1")
@blueprint.response(200, {"type": "object"})
def openapi() -> Response:
    """Made from the same declarations that check the requests."""
    return jsonify(bounds.add(current_api.spec.to_dict(), reach.settings()))


@blueprint.get("/problems/<string:kind>")
@open_to_all
@blueprint.doc(
    summary="What a problem's type means",
    responses={
        200: {
            "description": "The kind, its status and its title.",
            "content": {"application/json": {"schema": {"type": "object"}}},
        }
    },
)
def problem(kind: str) -> Any:
    """The `type` of every problem leads here."""
    if kind not in KINDS:
        raise Problem("not-found", f"There is no kind of problem {kind[:60]!r}. Known: {', '.join(sorted(KINDS))}.")
    return {"kind": kind, "status": KINDS[kind].status, "title": KINDS[kind].title}
