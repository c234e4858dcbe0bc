"""The way in and out for a person: a token is traded for a login session."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Blueprint, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response as AnyResponse

from pairscope.web import reach
from pairscope.web.access.operator import is_operator, sign_in
from pairscope.web.access.rules import open_to_all, protect
from pairscope.web.access.tokens import attempt

blueprint = Blueprint("access", __name__)


@blueprint.route("/login", methods=["GET", "POST"])
@open_to_all
def login() -> AnyResponse | str | tuple[str, int]:
    """A form for a token. With ``?token=`` one button that sends it: a program that previews a link does not log in."""
    target = local(request.values.get("next", ""))
    if request.method == "GET":
        if is_operator():
            return redirect(target)
        return render_template("login.html", token=request.args.get("token", ""), target=target, wrong=False)
    protect()
    verified = attempt(request.form.get("token", "").strip())
    if verified is None or not sign_in(verified):
        return render_template("login.html", token="", target=target, wrong=True), 401
    return redirect(target, 303)


@blueprint.post("/logout")
@open_to_all
def logout() -> AnyResponse:
    """Ends the login session of this browser."""
    protect()
    session.clear()
    return redirect(local("") if reach.settings().public_read else url_for("access.login"), 303)


def local(target: str) -> str:
    """A path of ours to go on to; never another site."""
    parts = urlsplit(target.replace("\\", "/"))
    fits = (
        target.isprintable()
        and target.startswith("/")
        and not target.startswith(("//", "/\\"))
        and not parts.netloc
        and not parts.scheme
    )
    return target if fits else request.script_root + "/"
