"""Who may do what: reading is open unless the settings say otherwise; whatever changes something needs an operator.

An operator has a token: 32 random bytes, of which only the SHA-256 is kept. A program sends it as ``Authorization:
Bearer``; a person trades it for a login session, a signed cookie that names the token it came from: a revoked or
expired token ends its sessions at once. Every view says who may call it with one of four decorators, and checks it
itself.
"""

from __future__ import annotations

import collections
import functools
import hashlib
import hmac
import ipaddress
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, current_app, g, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError, CSRFProtect
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session
from werkzeug.exceptions import SecurityError
from werkzeug.wrappers import Response as AnyResponse

from pairscope.config import BOX, Settings
from pairscope.store.models import Token
from pairscope.web import problems, reach
from pairscope.web.problems import Problem

View = TypeVar("View", bound=Callable[..., Any])

SESSION_HOURS = 12
REMEMBERED = 600.0
"""Seconds for which a token that was verified counts as valid while the database cannot be asked."""

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)

HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
"""On every response that does not say otherwise itself."""

COOKIE = "pairscope-"
"""How the name of a session's cookie begins."""

blueprint = Blueprint("access", __name__)
csrf = CSRFProtect()


class Operator(NamedTuple):
    """Who asks."""

    name: str
    """Of the token."""
    by: str
    """``bearer`` or ``session``."""


# ---- tokens


def new_token() -> str:
    """A fresh token: 256 random bits in URL-safe letters."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """What is kept of a token. A token has 256 random bits, so a slow hash would protect nothing more."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def create_token(own: Session, name: str, *, expires: int | None = None, once: bool = False) -> str:
    """Adds an operator's token to web's own table and returns it: it can be shown now and never again.

    `expires` is in ns since 1970; `once` makes it a login link's, gone after its first login. The caller commits.
    """
    token = new_token()
    own.add(Token(digest=digest(token), name=name[:80], created=time.time_ns(), expires=expires, once=once))
    own.flush()
    return token


def revoke_token(own: Session, number: int) -> bool:
    """Removes a token, and with it the sessions that came from it. False: there is none. The caller commits."""
    return bool(own.execute(delete(Token).where(Token.id == number)).rowcount)


class Verified(NamedTuple):
    """A token that is an operator's. `number` is 0 for the one of the settings."""

    number: int
    name: str
    digest: str
    expires: int | None
    once: bool


def _verify(token: str) -> Verified | None:
    found = digest(token)
    settings = reach.settings()
    if settings.operator_token and hmac.compare_digest(found, digest(settings.operator_token)):
        return Verified(0, _("operator"), found, None, False)
    return _stored(Token.digest == found, found)


def _stored(condition: Any, expected: str) -> Verified | None:
    """The row that fulfils `condition`, if its digest is the expected one and it has not expired."""
    memory = _access().remembered
    try:
        with Session(current_app.extensions["pairscope"].engine(reach.settings().web_url, read_only=True)) as own:
            row = own.scalars(select(Token).where(condition)).first()
    except problems.DATABASE_AWAY:
        verified, until = memory.get(expected, (None, 0.0))
        if until < time.monotonic():
            raise
    else:
        verified = None
        if row is not None and hmac.compare_digest(row.digest, expected):
            verified = Verified(row.id, row.name, row.digest, row.expires, row.once)
            if len(memory) > 1000:
                memory.clear()
            memory[expected] = verified, time.monotonic() + REMEMBERED
        else:
            memory.pop(expected, None)
    if verified is None or (verified.expires is not None and verified.expires <= time.time_ns()):
        return None
    return verified


# ---- wrong attempts


class Attempts:
    """Wrong tokens per address. Counted in this process alone: with P web processes an address has P times as many.

    That is enough against guessing: a token of ours has 256 bits, and one that an operator chose is guarded at P times
    MOST a minute. An IPv6 address counts as its /64, which one attacker has whole.
    """

    MOST = 20
    SPAN = 60.0
    ADDRESSES = 10_000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wrong: collections.OrderedDict[str, collections.deque[float]] = collections.OrderedDict()

    def wrong(self, address: str | None, now: float) -> None:
        """One wrong token came from `address` at `now` (seconds, monotonic)."""
        place = self.place(address)
        with self._lock:
            times = self._wrong.setdefault(place, collections.deque(maxlen=self.MOST))
            times.append(now)
            self._wrong.move_to_end(place)
            if len(self._wrong) > self.ADDRESSES:
                self._wrong.popitem(last=False)

    def wait(self, address: str | None, now: float) -> float:
        """Seconds until `address` may try again; 0: now."""
        with self._lock:
            times = self._wrong.get(self.place(address), ())
            return max(0.0, times[0] + self.SPAN - now) if len(times) == self.MOST else 0.0

    @staticmethod
    def place(address: str | None) -> str:
        """What an address is counted as."""
        try:
            parsed = ipaddress.ip_address((address or "").partition("%")[0])
        except ValueError:
            return address or ""
        return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)


def _attempt(token: str) -> Verified | None:
    """Verifies a token that somebody sent; None if it is wrong. Raises Problem (429) after too many wrong ones."""
    attempts = _access().attempts
    seconds = attempts.wait(request.remote_addr, time.monotonic())
    if seconds:
        raise Problem(
            "too-many-attempts",
            _(
                "Too many wrong tokens came from %(address)s. Try again in %(seconds)d seconds.",
                address=request.remote_addr,
                seconds=int(seconds) + 1,
            ),
            headers={"Retry-After": str(int(seconds) + 1)},
        )
    verified = _verify(token)
    if verified is None:
        attempts.wrong(request.remote_addr, time.monotonic())
    return verified


# ---- who asks


def operator() -> Operator | None:
    """The operator who makes this request, or None. Raises Problem for a bearer token that is no operator's."""
    if "operator" not in g:
        g.operator = _operator()
    return g.operator


def is_operator() -> bool:
    """True if an operator makes this request; for templates: a database that is away makes no difference on a page."""
    try:
        return operator() is not None
    except (Problem, *problems.DATABASE_AWAY):
        return False


def _is_bearer() -> bool:
    """No browser sends a bearer token by itself; Basic, as Apache may ask for it, it does."""
    return request.authorization is not None and request.authorization.type == "bearer"


def _operator() -> Operator | None:
    if _is_bearer():
        verified = _attempt(request.authorization.token or "")  # type: ignore[union-attr]
        if verified is None or verified.once:
            raise Problem(
                "wrong-token",
                _(
                    "The bearer token is not an operator's, or was revoked, or has expired. Make one with: "
                    "pairscope token create NAME"
                ),
                headers={"WWW-Authenticate": 'Bearer realm="pairscope", error="invalid_token"'},
            )
        return Operator(verified.name, "bearer")
    number, mark = session.get("operator", (None, ""))
    if number is None:
        return None
    settings = reach.settings()
    if number == 0:
        known = digest(settings.operator_token) if settings.operator_token else ""
        return Operator(_("operator"), "session") if known and hmac.compare_digest(mark, _mark(known)) else None
    for_number = session.get("digest", "")
    verified = _stored(Token.id == number, for_number) if hmac.compare_digest(mark, _mark(for_number)) else None
    return Operator(verified.name, "session") if verified else None


def _mark(of: str) -> str:
    """Binds a session to its token without telling anything of it."""
    return hmac.new(current_app.secret_key, f"session {of}".encode(), hashlib.sha256).hexdigest()


def _sign_in(verified: Verified) -> bool:
    """Begins a login session. A login link's token is traded for one that only this session knows: it works once."""
    if verified.once:
        own = reach.own()
        fresh = digest(new_token())
        name = _("session of %(name)s", name=verified.name)[:80]
        expires = time.time_ns() + SESSION_HOURS * 3600 * 10**9
        traded = own.execute(
            update(Token)
            .where(Token.id == verified.number, Token.digest == verified.digest)
            .values(digest=fresh, once=False, name=name, expires=expires)
        )
        own.commit()
        if not traded.rowcount:
            return False  # another login was faster
        verified = verified._replace(digest=fresh)
    session.clear()
    session.permanent = True
    session["operator"] = verified.number, _mark(verified.digest)
    if verified.number:
        session["digest"] = verified.digest
    return True


# ---- what a view says of itself


def operator_required(view: View) -> View:
    """Only an operator may call the view; one with a login session must come from a page of ours, too (CSRF).

    Goes below the route and above whatever parses arguments: a stranger's body is not even read.
    """

    @functools.wraps(view)
    def checked(*args: Any, **kwargs: Any) -> Any:
        asking = operator()
        if asking is None:
            raise Problem(
                "login-needed",
                _(
                    "This changes something, so it needs an operator: an Authorization header with a bearer "
                    "token, or a login."
                ),
                headers={"WWW-Authenticate": 'Bearer realm="pairscope"'},
            )
        if asking.by == "session":
            protect()
        return view(*args, **kwargs)

    checked.reach = "operator"  # type: ignore[attr-defined]
    return checked  # type: ignore[return-value]


def reader_required(view: View) -> View:
    """Whoever may read may call the view: everybody, or only operators if ``public_read`` is off."""

    @functools.wraps(view)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if not reach.settings().public_read and operator() is None:
            if not problems.wanted() and request.method in ("GET", "HEAD"):
                return redirect(url_for("access.login", next=request.full_path.rstrip("?")))
            raise Problem(
                "login-needed",
                _("Reading needs an operator here: an Authorization header with a bearer token, or a login."),
                headers={"WWW-Authenticate": 'Bearer realm="pairscope"'},
            )
        return view(*args, **kwargs)

    checked.reach = "reader"  # type: ignore[attr-defined]
    return checked  # type: ignore[return-value]


def visitor_allowed(view: View) -> View:
    """Whoever may read may call the view though it stores something: what it does is bounded, and the view itself says
    for whom.

    A login session must come from a page of ours (CSRF); of others the browser's word is taken that it is this site's
    page.
    """

    @functools.wraps(view)
    def checked(*args: Any, **kwargs: Any) -> Any:
        asking = operator()
        if asking is None and not reach.settings().public_read:
            raise Problem(
                "login-needed",
                _("Reading needs an operator here: an Authorization header with a bearer token, or a login."),
            )
        if asking is not None and asking.by == "session":
            protect()
        return view(*args, **kwargs)

    checked.reach = "visitor"  # type: ignore[attr-defined]
    return checked  # type: ignore[return-value]


def open_to_all(view: View) -> View:
    """Everybody may call the view, whatever the settings say: it tells nothing, or is the way in."""
    view.reach = "all"  # type: ignore[attr-defined]
    return view


def protect() -> None:
    """Refuses a form that does not come from a page of ours."""
    try:
        csrf.protect()
    except CSRFError as error:
        raise Problem(
            "forged",
            _(
                "%(reason)s Load the page again and send the form once more; a program sends a bearer token instead.",
                reason=error.description,
            ),
        ) from None


def _same_site_only() -> None:
    """Refuses what another site made a browser send, by what the browser says of it, before anything is parsed."""
    if request.method in ("GET", "HEAD", "OPTIONS") or _is_bearer():
        return
    fetch = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if fetch is not None:
        foreign = fetch not in ("same-origin", "none")
    else:
        foreign = origin is not None and urlsplit(origin).netloc != request.host
    if foreign:
        raise Problem("forged", _("A page of another site made this browser send the request. Nothing was done."))


# ---- login


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
    verified = _attempt(request.form.get("token", "").strip())
    if verified is None or not _sign_in(verified):
        return render_template("login.html", token="", target=target, wrong=True), 401
    return redirect(target, 303)


@blueprint.post("/logout")
@open_to_all
def logout() -> AnyResponse:
    """Ends the login session of this browser."""
    protect()
    session.clear()
    return redirect("/" if reach.settings().public_read else url_for("access.login"), 303)


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


# ---- for the whole application


class _Access:
    """What one application keeps."""

    def __init__(self) -> None:
        self.attempts = Attempts()
        self.remembered: dict[str, tuple[Verified, float]] = {}


def _access() -> _Access:
    return current_app.extensions["access"]


def secret_key(settings: Settings) -> bytes:
    """The key that signs sessions, made by whichever process comes first; readable for its owner alone."""
    path = settings.secret_key
    try:
        return _read_key(path)
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, secrets.token_bytes(32))
        os.fsync(fd)
        os.link(temporary, path)  # whole or not at all, and never over another's
    except FileExistsError:
        pass
    finally:
        os.close(fd)
        temporary.unlink()
    return _read_key(path)


def _read_key(path: Path) -> bytes:
    key = path.read_bytes()
    if len(key) < 32:
        raise ValueError(
            f"{path}: the secret key has {len(key)} bytes; expected 32. Remove the file: a new one is made, "
            "and everybody logs in again"
        )
    return key


def _cookie_name(settings: Settings) -> str:
    """One for each installation: a browser sends a cookie to every port of a host."""
    return COOKIE + hashlib.sha256(str(settings.secret_key).encode()).hexdigest()[:8]


def _strange_host(_error: SecurityError) -> Any:
    """A problem for a program, plain text for a browser: without a host that is ours there are no addresses to put into
    a page."""
    asked = request.headers.get("Host", "")[:100]
    words = " ".join(
        (
            _("This site does not answer to the host name %(asked)s.", asked=repr(asked)),
            _where_hosts_are_named(reach.settings()),
        )
    )
    if problems.wanted():
        return problems.answer(Problem("wrong-host", words))
    return words + "\n", 400, {"Content-Type": "text/plain; charset=utf-8"}


def _where_hosts_are_named(settings: Settings) -> str:
    """How whoever runs this installation lets it answer to another name, by what the installation has."""
    source = settings.source
    if source == "embedded" or settings.client is not None:
        return _(
            "Started by %(command)s it answers to localhost and the loopback addresses only; an installation "
            "with settings of its own has trusted_hosts.",
            command="script/lamp" if settings.client is not None else "script/server",
        )
    if Path(source).parent == BOX:
        return _(
            "Whoever runs it can add the name to hosts in %(file)s; deploy/provision.sh then makes "
            "trusted_hosts of it.",
            file=str(BOX / "box.toml"),
        )
    return _("Whoever runs it can add the name to trusted_hosts in its settings, %(file)s.", file=Path(source).name)


def _finish(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
        if not response.headers[name]:
            del response.headers[name]  # the view said: not here
    if request.blueprint in ("access", "api"):
        response.headers.setdefault("Cache-Control", "no-store")
    if request.blueprint == "access":
        # The login link carries a token, so its path goes to nobody. Not no-referrer: with it a browser says "Origin:
        # null" of the form, and over http to another name than localhost that is all it says; _same_site_only would
        # refuse it.
        response.headers["Referrer-Policy"] = "strict-origin"
    return response


def register(app: Flask) -> None:
    """Gives the application its key, its cookies, its headers and the way in."""
    settings: Settings = app.extensions["pairscope"].settings
    app.extensions["access"] = _Access()
    app.secret_key = secret_key(settings)
    app.config.update(
        SESSION_COOKIE_NAME=_cookie_name(settings),
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=settings.secure_cookies,
        PERMANENT_SESSION_LIFETIME=SESSION_HOURS * 3600,
        SESSION_REFRESH_EACH_REQUEST=False,
        WTF_CSRF_CHECK_DEFAULT=False,  # checked by the decorator, after the operator: a stranger's body is not read
        WTF_CSRF_TIME_LIMIT=None,  # as long as the session
        WTF_CSRF_SSL_STRICT=False,  # wants a Referer, which /login does not send; _same_site_only is stricter
    )
    csrf.init_app(app)
    app.register_error_handler(SecurityError, _strange_host)
    app.before_request(_same_site_only)
    app.after_request(_finish)
    app.context_processor(lambda: {"is_operator": is_operator})
    app.register_blueprint(blueprint)
