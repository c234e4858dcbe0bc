"""Static files: the style sheet, the scripts and the mark. What a page writes as an address has their version in it,
and is kept for a year.

The version is one for all of them: a module asks for another one by its own (``import.meta.url``), so that a page has
each of them once.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from flask import Flask, Response, redirect, request, url_for

from pairscope.web.access import open_to_all

KEPT = "public, max-age=31536000, immutable"


def version(folder: Path) -> str:
    """Another text when one of the files is another one."""
    found = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        found.update(f"{path.relative_to(folder)}\0{path.stat().st_size}\0".encode() + path.read_bytes())
    return found.hexdigest()[:12]


def register(app: Flask) -> None:
    """Writes the version into each address of a static file; with it, the file may be kept."""
    assert app.static_folder
    current = version(Path(app.static_folder))

    @app.url_defaults
    def _versioned(endpoint: str, values: dict[str, Any]) -> None:
        if endpoint == "static":
            values.setdefault("v", current)

    @app.get("/favicon.ico")
    @open_to_all
    def favicon() -> Any:
        """Browsers ask for it beside what is no page of ours, such as JSON."""
        return redirect(url_for("static", filename="mark.svg"))

    @app.after_request
    def _keep(response: Response) -> Response:
        if request.endpoint == "static" and response.status_code < 400:
            response.headers["Cache-Control"] = KEPT if request.args.get("v") == current else "no-cache"
        return response
