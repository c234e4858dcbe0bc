"""Who may do what, through the real application with its real database of tokens, without a pool."""

from __future__ import annotations

import dataclasses
import ipaddress
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pairscope.config import Settings
from pairscope.store.engine import engine
from pairscope.store.migrate import upgrade
from pairscope.store.models import Token
from pairscope.web import access
from pairscope.web.access.forwarded import believed
from pairscope.web.application import create_app
from tests.running import csrf_token

pytestmark = pytest.mark.web

SETTINGS_TOKEN = "set-beforehand"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state=tmp_path / "state", run=tmp_path / "run", operator_token=SETTINGS_TOKEN)


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    upgrade(settings)
    made = create_app(settings)
    yield made
    made.extensions["pairscope"].close()


@pytest.fixture
def closed(settings: Settings) -> Iterator[Flask]:
    """An installation whose reading needs a login."""
    upgrade(settings)
    made = create_app(dataclasses.replace(settings, public_read=False))
    yield made
    made.extensions["pairscope"].close()


def own(settings: Settings, **token: Any) -> str:
    """A token in web's own table."""
    made = engine(settings.web_url)
    with Session(made) as session:
        text = access.create_token(session, "somebody", **token)
        session.commit()
    made.dispose()
    return text


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def scale(client: FlaskClient, **headers: str) -> Any:
    """Something that only an operator may do: without a pool it gets as far as 503."""
    return client.post(
        "/api/v1/pool/scale",
        json={"workers": 2},
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


ALLOWED, NO_LOGIN, FORGED, TOO_MANY = 503, 401, 403, 429


def log_in(client: FlaskClient, token: str) -> Any:
    page = client.get("/login", query_string={"token": token})
    return client.post("/login", data={"token": token, "csrf_token": csrf_token(page.text)})


# ---- every address says who may call it


def test_every_address_says_who_may_call_it(app: Flask) -> None:
    silent = [
        rule.rule
        for rule in app.url_map.iter_rules()
        if rule.endpoint != "static" and not hasattr(app.view_functions[rule.endpoint], "reach")
    ]
    assert silent == []


def test_whatever_changes_something_needs_an_operator(app: Flask) -> None:
    harmless = {"access.login", "access.logout"}
    for rule in app.url_map.iter_rules():
        if rule.methods and rule.methods - {"GET", "HEAD", "OPTIONS"} and rule.endpoint not in harmless:
            said = getattr(app.view_functions[rule.endpoint], "reach", None)
            # what they may is said by the views, tests/test_lab_web.py
            visitors = {
                "/lab/runs",
                "/lab/often",
                "/lab/runs/<id>/share",
                "/api/v1/lab/runs",
            }
            assert (
                said == "operator"
                or (said == "all" and rule.rule == "/theme")
                or (said == "visitor" and rule.rule in visitors)
            ), rule.rule


def test_a_stranger_is_refused_at_every_address_that_changes_something(app: Flask) -> None:
    client = app.test_client()
    for rule in app.url_map.iter_rules():
        if getattr(app.view_functions[rule.endpoint], "reach", None) == "operator":
            path = re.sub(r"<[^>]*>", "1", rule.rule)
            assert client.post(path).status_code == NO_LOGIN, path


# ---- bearer tokens


def test_a_token_of_the_table_opens(app: Flask, settings: Settings) -> None:
    assert scale(app.test_client(), **bearer(own(settings))).status_code == ALLOWED


def test_the_token_of_the_settings_opens_and_is_stored_nowhere(app: Flask, settings: Settings) -> None:
    assert scale(app.test_client(), **bearer(SETTINGS_TOKEN)).status_code == ALLOWED
    made = engine(settings.web_url, read_only=True)
    with Session(made) as session:
        assert session.scalars(select(Token)).all() == []
    made.dispose()


def test_only_the_sha_256_of_a_token_is_kept(app: Flask, settings: Settings) -> None:
    token = own(settings)
    for path in Path(settings.state).glob("web.sqlite*"):
        assert token.encode() not in path.read_bytes()


def test_no_token_is_told_what_is_needed(app: Flask) -> None:
    answer = scale(app.test_client())
    assert answer.status_code == NO_LOGIN
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert "bearer token" in answer.json["detail"]


@pytest.mark.parametrize("token", ["wrong", "", "\u00fc", "x" * 5000])
def test_a_wrong_token_is_refused(app: Flask, token: str) -> None:
    answer = scale(app.test_client(), **bearer(token))
    assert answer.status_code == NO_LOGIN and answer.json["type"].endswith("/wrong-token")


def test_an_expired_token_is_refused(app: Flask, settings: Settings) -> None:
    token = own(settings, expires=time.time_ns() - 1)
    assert scale(app.test_client(), **bearer(token)).status_code == NO_LOGIN


def test_a_revoked_token_is_refused_at_once(app: Flask, settings: Settings) -> None:
    client, token = app.test_client(), own(settings)
    assert scale(client, **bearer(token)).status_code == ALLOWED
    revoke(settings)
    assert scale(client, **bearer(token)).status_code == NO_LOGIN


def revoke(settings: Settings) -> None:
    made = engine(settings.web_url)
    with Session(made) as session:
        for row in session.scalars(select(Token)).all():
            assert access.revoke_token(session, row.id)
        session.commit()
    made.dispose()


def test_a_wrong_token_is_no_help_where_reading_is_open(app: Flask) -> None:
    assert app.test_client().get("/api/v1/messages", headers=bearer("wrong")).status_code == 200


def test_without_a_pool_an_operator_is_told_so(app: Flask) -> None:
    answer = scale(app.test_client(), **bearer(SETTINGS_TOKEN))
    assert answer.status_code == 503 and answer.json["type"].endswith("/pool-away") and answer.headers["Retry-After"]
    assert "No supervisor listens at" in answer.json["detail"]


# ---- the login link


def test_the_login_link_shows_a_button_and_logs_nobody_in_by_itself(app: Flask) -> None:
    client = app.test_client()
    page = client.get(f"/login?token={SETTINGS_TOKEN}")
    assert page.status_code == 200 and "<button" in page.text
    assert scale(client).status_code == NO_LOGIN


def test_the_link_of_the_settings_logs_in_again_and_again(app: Flask) -> None:
    for _ in range(3):
        client = app.test_client()
        assert log_in(client, SETTINGS_TOKEN).status_code == 303
        assert client.get("/login").status_code == 302


def test_a_link_made_for_once_logs_in_once(app: Flask, settings: Settings) -> None:
    token = own(settings, once=True)
    first, second = app.test_client(), app.test_client()
    assert log_in(first, token).status_code == 303
    assert log_in(second, token).status_code == 401
    assert first.get("/login").status_code == 302  # the first is still in


def test_a_link_made_for_once_is_no_bearer_token(app: Flask, settings: Settings) -> None:
    assert scale(app.test_client(), **bearer(own(settings, once=True))).status_code == NO_LOGIN


def test_a_wrong_token_on_the_form_says_so(app: Flask) -> None:
    answer = log_in(app.test_client(), "wrong")
    assert answer.status_code == 401 and 'role="alert"' in answer.text


def test_the_page_with_a_token_sends_no_path_as_referrer_and_is_not_kept(app: Flask) -> None:
    page = app.test_client().get(f"/login?token={SETTINGS_TOKEN}")
    assert page.headers["Referrer-Policy"] == "strict-origin"
    assert page.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/healthz", 200),
        ("/readyz", 503),
        ("/metrics", 200),
        ("/nowhere", 404),
        ("/messages/1", 404),
        ("/logout", 405),
        ("/api/v1/nowhere", 404),
        ("/api/v1/openapi.json", 200),
    ],
)
def test_nothing_that_is_true_for_a_moment_only_may_be_kept(app: Flask, path: str, status: int) -> None:
    answer = app.test_client().get(path)
    assert (answer.status_code, answer.headers.get("Cache-Control")) == (status, "no-store")


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "\\\\evil.example",
        "javascript:alert(1)",
        "/\t/evil.example",
        "evil",
    ],
)
def test_a_login_leads_to_no_other_site(app: Flask, target: str) -> None:
    client = app.test_client()
    page = client.get("/login")
    answer = client.post("/login", data={"token": SETTINGS_TOKEN, "csrf_token": csrf_token(page.text), "next": target})
    assert answer.status_code == 303 and answer.headers["Location"] == "/"


def test_a_login_goes_on_to_where_one_wanted_to_go(app: Flask) -> None:
    client = app.test_client()
    page = client.get("/login")
    answer = client.post(
        "/login", data={"token": SETTINGS_TOKEN, "csrf_token": csrf_token(page.text), "next": "/messages?q=kind:result"}
    )
    assert answer.headers["Location"] == "/messages?q=kind:result"


# ---- sessions


def in_session(client: FlaskClient) -> str:
    """A CSRF token of the client's session."""
    return csrf_token(client.get("/jobs").text)


def test_a_session_needs_its_csrf_token_also_at_the_api(app: Flask) -> None:
    client = app.test_client()
    log_in(client, SETTINGS_TOKEN)
    assert scale(client).status_code == FORGED
    assert scale(client, X_CSRFToken=in_session(client)).status_code == ALLOWED
    assert scale(client, X_CSRFToken="wrong").status_code == FORGED


def test_a_csrf_token_of_another_session_is_refused(app: Flask) -> None:
    client, other = app.test_client(), app.test_client()
    log_in(client, SETTINGS_TOKEN), log_in(other, SETTINGS_TOKEN)
    assert scale(client, X_CSRFToken=in_session(other)).status_code == FORGED


def test_a_bearer_token_needs_no_csrf_token(app: Flask) -> None:
    assert scale(app.test_client(), **bearer(SETTINGS_TOKEN)).status_code == ALLOWED


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_what_another_site_makes_a_browser_send_is_refused(app: Flask, headers: dict[str, str]) -> None:
    client = app.test_client()
    log_in(client, SETTINGS_TOKEN)
    token = in_session(client)
    assert (
        client.post("/api/v1/pool/scale", json={"workers": 2}, headers={"X-CSRFToken": token, **headers}).status_code
        == FORGED
    )
    assert client.post("/logout", data={"csrf_token": token}, headers=headers).status_code == FORGED
    basic = {"Authorization": "Basic eDp5", **headers}  # a browser adds it by itself where Apache has asked for it
    assert client.post("/logout", data={"csrf_token": token}, headers=basic).status_code == FORGED


def test_logout_ends_the_session(app: Flask) -> None:
    client = app.test_client()
    log_in(client, SETTINGS_TOKEN)
    assert client.post("/logout", data={"csrf_token": in_session(client)}).status_code == 303
    assert scale(client).status_code == NO_LOGIN


def test_a_login_by_a_forged_form_is_refused(app: Flask) -> None:
    assert app.test_client().post("/login", data={"token": SETTINGS_TOKEN}).status_code == FORGED


def test_a_session_ends_with_its_token(app: Flask, settings: Settings) -> None:
    client = app.test_client()
    assert log_in(client, own(settings)).status_code == 303
    csrf = in_session(client)
    assert scale(client, X_CSRFToken=csrf).status_code == ALLOWED
    revoke(settings)
    assert scale(client, X_CSRFToken=csrf).status_code == NO_LOGIN


def test_a_session_does_not_outlive_a_new_token_in_the_settings(app: Flask, settings: Settings) -> None:
    client = app.test_client()
    log_in(client, SETTINGS_TOKEN)
    again = create_app(dataclasses.replace(settings, operator_token="another-one-set"))
    later = again.test_client()
    for cookie in client._cookies.values():  # type: ignore[union-attr]
        later.set_cookie(cookie.key, cookie.value)
    assert scale(later).status_code == NO_LOGIN
    again.extensions["pairscope"].close()


def test_an_operator_who_was_verified_stays_one_while_the_database_of_tokens_is_away(
    app: Flask, settings: Settings
) -> None:
    client, token = app.test_client(), own(settings)
    assert scale(client, **bearer(token)).status_code == ALLOWED
    app.extensions["pairscope"].close()
    for path in settings.state.glob("web.sqlite*"):
        path.unlink()
    assert scale(client, **bearer(token)).status_code == ALLOWED
    unknown = scale(client, **bearer("never seen"))
    assert unknown.status_code == 503 and unknown.json["type"].endswith("/database-away")


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(app: Flask) -> None:
    cookie = app.test_client().get("/login").headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Path=/" in cookie


def test_two_installations_on_one_host_do_not_share_a_cookie(tmp_path: Path) -> None:
    one, two = (access.cookie_name(Settings(state=tmp_path / name, run=tmp_path / name)) for name in ("one", "two"))
    assert one != two


# ---- reading


def test_reading_is_open(app: Flask) -> None:
    client = app.test_client()
    for path in ("/api/v1/messages", "/messages", "/", "/metrics"):
        assert client.get(path).status_code == 200, path


def test_reading_can_be_closed(closed: Flask) -> None:
    client = closed.test_client()
    for path in ("/api/v1/messages", "/metrics", "/api/v1/jobs/1/output"):
        assert client.get(path).status_code == NO_LOGIN, path
        assert client.get(path, headers=bearer(SETTINGS_TOKEN)).status_code != NO_LOGIN, path
    for path in ("/messages", "/"):
        answer = client.get(path)
        assert answer.status_code == 302 and answer.headers["Location"].startswith("/login?next="), path


def test_health_stays_open_when_reading_is_closed(closed: Flask) -> None:
    client = closed.test_client()
    assert client.get("/healthz").status_code == 200
    assert client.get("/readyz").status_code == 503  # no pool here


def test_a_login_opens_closed_reading(closed: Flask) -> None:
    client = closed.test_client()
    log_in(client, SETTINGS_TOKEN)
    assert client.get("/messages").status_code == 200


# ---- guessing


def test_too_many_wrong_tokens_from_one_address_are_cut_off(app: Flask) -> None:
    client = app.test_client()
    for number in range(access.Attempts.MOST):
        assert scale(client, **bearer(f"guess {number}")).status_code == NO_LOGIN
    answer = scale(client, **bearer("one more guess"))
    assert answer.status_code == TOO_MANY
    assert 0 < int(answer.headers["Retry-After"]) <= access.Attempts.SPAN + 1
    page = client.get("/login")
    assert (
        client.post("/login", data={"token": "one more guess", "csrf_token": csrf_token(page.text)}).status_code
        == TOO_MANY
    )
    other = client.post(
        "/api/v1/pool/scale",
        json={"workers": 2},
        headers=bearer(SETTINGS_TOKEN),
        environ_base={"REMOTE_ADDR": "192.0.2.7"},
    )
    assert other.status_code == ALLOWED


def test_a_right_token_is_never_refused_for_wrong_ones_from_the_same_address(app: Flask, settings: Settings) -> None:
    client, kept, link = app.test_client(), own(settings), own(settings, once=True)
    for number in range(2 * access.Attempts.MOST):
        scale(client, **bearer(f"guess {number}"))
    for token in (SETTINGS_TOKEN, kept):
        assert scale(client, **bearer(token)).status_code == ALLOWED
        assert log_in(app.test_client(), token).status_code == 303
    assert log_in(app.test_client(), link).status_code == 303
    assert scale(client, **bearer("one more guess")).status_code == TOO_MANY


def test_the_address_behind_a_proxy_is_believed_from_trusted_proxies_only(settings: Settings) -> None:
    upgrade(settings)
    app = create_app(dataclasses.replace(settings, trusted_proxies=("10.0.0.0/8", "::1")))

    def guess(peer: str, forwarded: str) -> int:
        return (
            app.test_client()
            .post(
                "/api/v1/pool/scale",
                json={"workers": 2},
                headers={**bearer("a wrong token"), "X-Forwarded-For": forwarded},
                environ_base={"REMOTE_ADDR": peer},
            )
            .status_code
        )

    try:
        for _number in range(access.Attempts.MOST):
            assert guess("10.0.0.1", "192.0.2.1") == NO_LOGIN
        assert guess("10.0.0.1", "192.0.2.1") == TOO_MANY
        assert guess("10.0.0.1", "192.0.2.2") == NO_LOGIN, "another visitor of the same proxy"
        assert guess("10.0.0.1", "192.0.2.2, 192.0.2.1") == TOO_MANY, "what stands before comes from the visitor"
        assert guess("::1", "192.0.2.1, 10.9.9.9") == TOO_MANY, "through two proxies of ours"
        for number in range(access.Attempts.MOST):
            assert guess("198.51.100.1", f"192.0.2.{100 + number}") == NO_LOGIN
        assert guess("198.51.100.1", "192.0.2.200") == TOO_MANY, "no proxy of ours: its own address counts"
    finally:
        app.extensions["pairscope"].close()


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", "203.0.113.1", "192.0.2.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.1", "203.0.113.1"),
        ("10.0.0.1", "203.0.113.1, 10.0.0.2", "203.0.113.1"),
        ("10.0.0.1", "203.0.113.9, 203.0.113.1", "203.0.113.1"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "203.0.113.1, unknown", "10.0.0.1"),
        ("::ffff:10.0.0.1", "[2001:db8::1]", "2001:db8::1"),
        ("", "203.0.113.1", ""),
    ],
)
def test_forwarded_addresses_are_read_from_the_end(peer: str, forwarded: str, address: str) -> None:
    assert believed(peer, forwarded, [ipaddress.ip_network("10.0.0.0/8")]) == address


def test_one_who_is_logged_in_is_not_cut_off_by_a_neighbour_that_guesses(app: Flask) -> None:
    client, neighbour = app.test_client(), app.test_client()
    log_in(client, SETTINGS_TOKEN)
    csrf = in_session(client)
    for number in range(access.Attempts.MOST + 1):
        scale(neighbour, **bearer(f"guess {number}"))
    assert scale(client, X_CSRFToken=csrf).status_code == ALLOWED


def test_attempts_are_forgotten_after_a_minute() -> None:
    attempts = access.Attempts()
    for second in range(attempts.MOST):
        assert attempts.wait("192.0.2.1", second) == 0
        attempts.wrong("192.0.2.1", float(second))
    assert attempts.wait("192.0.2.1", 20.0) == 40.0
    assert attempts.wait("192.0.2.1", 60.0) == 0


def test_an_ipv6_network_counts_as_one_address() -> None:
    attempts = access.Attempts()
    for number in range(attempts.MOST):
        attempts.wrong(f"2001:db8::{number:x}", 0.0)
    assert attempts.wait("2001:db8::ffff", 1.0) > 0
    assert attempts.wait("2001:db8:0:1::1", 1.0) == 0


def test_attempts_from_many_addresses_take_bounded_memory() -> None:
    attempts = access.Attempts()
    for number in range(attempts.ADDRESSES + 500):
        attempts.wrong(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 0.0)
    assert len(attempts._wrong) == attempts.ADDRESSES


# ---- headers and limits


def test_every_answer_carries_the_strict_headers(app: Flask) -> None:
    client = app.test_client()
    for path in ("/", "/login", "/healthz", "/api/v1/messages", "/api/v1/nothing", "/nothing", "/static/mark.svg"):
        answer = client.get(path)
        answer.close()
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy, path
        assert answer.headers["X-Content-Type-Options"] == "nosniff", path
        assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin", path


@pytest.mark.parametrize("path", ["/", "/login", "/messages", "/transfers", "/workers", "/jobs", "/nothing"])
def test_no_page_has_a_script_or_a_style_inline(app: Flask, path: str) -> None:
    page = app.test_client().get(path).text
    assert not re.search(r"<script(?![^>]*\bsrc=)", page), path
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=\"|javascript:", page), path


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil",
        "a b",
        "[::2]",
        "[::1",
        "[::1]x",
    ],
)
def test_a_host_that_is_not_ours_is_refused(app: Flask, host: str) -> None:
    answer = app.test_client().get("/", headers={"Host": host})
    assert answer.status_code == 400 and repr(host) in answer.text and "Started by script/server" in answer.text


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("/etc/pairscope/web.toml", "to hosts in /etc/pairscope/box.toml"),
        ("{}/lamp/conf/web.toml", "Started by script/lamp"),
        ("{}/mine.toml", "to trusted_hosts in its settings, mine.toml"),
    ],
)
def test_how_to_name_another_host_is_said_as_this_installation_has_it(tmp_path: Path, source: str, words: str) -> None:
    (tmp_path / "lamp").mkdir()
    (tmp_path / "lamp" / "client.cnf").touch()
    site = create_app(Settings(state=tmp_path / "state", run=tmp_path / "run", source=source.format(tmp_path)))
    assert words in site.test_client().get("/", headers={"Host": "elsewhere.example"}).text
    site.extensions["pairscope"].close()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "[::1]", "[::1]:8080", "[0:0:0:0:0:0:0:1]"])
def test_every_host_that_is_trusted_is_answered(app: Flask, host: str) -> None:
    assert app.test_client().get("/", headers={"Host": host}).status_code == 200


def test_a_large_form_is_refused(app: Flask) -> None:
    client = app.test_client()
    assert client.post("/login", data={"token": "x" * 100_000}).status_code == 413
    assert client.post("/login", data={str(number): "x" for number in range(5000)}).status_code in (403, 413)


# ---- the secret key


def test_processes_that_start_together_agree_on_one_secret_key(settings: Settings) -> None:
    program = (
        "import sys; from pairscope import config; from pairscope.web import access; "
        "print(access.secret_key(config.embedded()).hex())"
    )
    starters = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            env={**os.environ, "PAIRSCOPE_STATE": str(settings.state)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    found = {starter.communicate(timeout=30)[0] for starter in starters}
    assert len(found) == 1 and len(found.pop()) == 65
    assert os.listdir(settings.state) == ["secret.key"]


def test_the_secret_key_is_its_owners_alone_and_stays(settings: Settings) -> None:
    old = os.umask(0)
    try:
        key = access.secret_key(settings)
    finally:
        os.umask(old)
    assert stat.S_IMODE(settings.secret_key.stat().st_mode) == 0o600
    assert access.secret_key(settings) == key and len(key) == 32


def test_a_cut_secret_key_is_refused_in_words(settings: Settings) -> None:
    settings.state.mkdir()
    settings.secret_key.write_bytes(b"short")
    with pytest.raises(ValueError, match="has 5 bytes; expected 32"):
        access.secret_key(settings)
