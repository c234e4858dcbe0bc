"""Light, dark, or as the system says: remembered in a cookie that the server reads, so that no page flashes."""

from __future__ import annotations

from flask import Response, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from pairscope.web.access import local, open_to_all
from pairscope.web.pages.routes import blueprint
from pairscope.web.shell.face import THEMES

YEAR = 365 * 86400


@blueprint.post("/theme")
@open_to_all
def theme() -> AnyResponse:
    """Remembers the appearance and goes back to the page."""
    chosen = request.form.get("theme", "")
    response: Response = redirect(local(request.form.get("back", "")), 303)  # type: ignore[assignment]
    path = request.script_root or "/"
    if chosen in THEMES:
        response.set_cookie("theme", chosen, max_age=YEAR, path=path, samesite="Lax")
    else:
        response.delete_cookie("theme", path=path, samesite="Lax")
    return response
