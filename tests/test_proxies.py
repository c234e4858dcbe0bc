"""Behind a proxy, with TLS and without, with the host name kept and not: who asks is who asks, and login works or the
refusal says what to set."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from pairscope.store.migrate import upgrade
from pairscope.web.access.forwarded import believed
from pairscope.web.application import create_app
from tests import plausible
from tests.running import csrf_token

TOKEN = "an operator's token"
PROXY = "10.0.0.7"
OURS = {"trusted_hosts": ("dash.example", "localhost"), "secure_cookies": True}


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Any]:
    sites = []

    def make(**more: Any) -> Flask:
        settings = plausible.settings_in(tmp_path, operator_token=TOKEN, **more)
        upgrade(settings)
        sites.append(create_app(settings))
        return sites[-1]

    yield make
    for site in sites:
        site.extensions["pairscope"].close()


def log_in(site: Flask, origin: str, host: str, sent: dict[str, str]) -> Any:
    """Logs in as a browser that says of which page the form is by Origin alone; `host` is what the proxy hands on."""
    client = site.test_client()
    asked: dict[str, Any] = {"base_url": f"http://{host}", "environ_base": {"REMOTE_ADDR": PROXY}}
    page = client.get("/login", headers=sent, **asked)
    if page.status_code != 200:
        return page
    form = {"token": TOKEN, "csrf_token": csrf_token(page.text)}
    # The cookie of the client stands for the browser's, which asks by https what reaches this site by http.
    cookie = "; ".join(part.partition(";")[0] for part in page.headers.getlist("Set-Cookie"))
    return client.post("/login", data=form, headers={**sent, "Origin": origin, "Cookie": cookie}, **asked)


@pytest.mark.parametrize(
    ("peer", "forwarded", "asks"),
    [
        ("192.0.2.9", "203.0.113.5", "192.0.2.9"),
        (PROXY, "203.0.113.5", "203.0.113.5"),
        (PROXY, "6.6.6.6, 203.0.113.5", "203.0.113.5"),
        (PROXY, "203.0.113.5, 10.0.0.8", "203.0.113.5"),
        (PROXY, "", PROXY),
        (PROXY, "unknown", PROXY),
        ("::ffff:10.0.0.7", "2001:db8::5", "2001:db8::5"),
    ],
)
def test_only_a_trusted_proxy_says_who_asks_and_only_of_its_own_caller(peer: str, forwarded: str, asks: str) -> None:
    assert believed(peer, forwarded, [ipaddress.ip_network("10.0.0.0/8")]) == asks


@pytest.mark.web
@pytest.mark.parametrize(
    ("settings", "host", "sent"),
    [
        ({}, "dash.example", {}),
        ({}, "dash.example", {"X-Forwarded-Host": "dash.example", "X-Forwarded-Proto": "https"}),
        (
            {"trusted_proxies": (PROXY,)},
            "localhost:8080",
            {"X-Forwarded-Host": "dash.example", "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.5"},
        ),
        ({"trusted_proxies": ("10.0.0.0/8",)}, "localhost:8080", {"X-Forwarded-Host": "evil.example, dash.example"}),
    ],
    ids=["host kept", "host kept, headers of a stranger", "host not kept, told", "host appended"],
)
def test_login_works_behind_tls_and_a_proxy(
    made: Any, settings: dict[str, Any], host: str, sent: dict[str, str]
) -> None:
    answer = log_in(made(**OURS, **settings), "https://dash.example", host, sent)
    assert answer.status_code == 303, answer.text
    assert "Secure" in answer.headers["Set-Cookie"]


@pytest.mark.web
def test_a_login_that_a_proxy_makes_look_foreign_is_refused_with_what_to_set(made: Any) -> None:
    site = made(**OURS)
    answer = log_in(site, "https://dash.example", "localhost:8080", {})
    assert answer.status_code == 403
    assert "The page is of https://dash.example, and the request came for localhost:8080." in answer.text
    assert "ProxyPreserveHost On" in answer.text and f"address, {PROXY}, in trusted_proxies" in answer.text
    answer = log_in(site, "https://dash.example", "localhost:8080", {"X-Forwarded-Host": "dash.example"})
    assert answer.status_code == 403 and f"name its address, {PROXY}, in trusted_proxies" in answer.text
    answer = log_in(
        made(trusted_proxies=(PROXY,)), "https://dash.example", "localhost", {"X-Forwarded-Host": "dash.example"}
    )
    assert (
        answer.status_code == 400
        and "does not answer to the host name &#39;dash.example&#39;" in answer.text.replace("'", "&#39;")
    )


@pytest.mark.web
def test_a_page_of_another_site_stays_foreign_behind_a_proxy(made: Any) -> None:
    site = made(**OURS, trusted_proxies=(PROXY,))
    told = {"X-Forwarded-Host": "dash.example", "X-Forwarded-Proto": "https"}
    assert log_in(site, "https://evil.example", "localhost", told).status_code == 403
    assert log_in(site, "null", "localhost", told).status_code == 403


@pytest.mark.web
def test_a_cookie_that_is_kept_for_https_is_named_where_the_site_is_opened_by_http(made: Any) -> None:
    site = made(secure_cookies=True)
    client = site.test_client(use_cookies=False)  # a browser sends none back by http that was marked Secure
    answer = client.post("/login", data={"token": TOKEN, "csrf_token": "x"})
    assert answer.status_code == 403
    assert "secure_cookies is true" in answer.text and "open the site by https" in answer.text


@pytest.mark.web
@pytest.mark.parametrize("kept", [True, False], ids=["prefix kept", "prefix taken off"])
def test_below_a_prefix_every_address_of_a_page_has_it_and_login_comes_back(made: Any, kept: bool) -> None:
    site = made(prefix="/tools/pairscope", public_read=False)
    at = "/tools/pairscope" if kept else ""
    client = site.test_client()
    answer = client.get(f"{at}/messages?q=kind:task")
    assert answer.headers["Location"] == "/tools/pairscope/login?next=/tools/pairscope/messages?q%3Dkind:task"
    page = client.get(f"{at}/login?next=/tools/pairscope/jobs")
    named = {
        part.split('"', 1)[0]
        for part in page.text.replace("src=", "href=").replace("action=", "href=").split('href="')[1:]
    }
    assert named and all(name.startswith(("/tools/pairscope/", "#")) for name in named), named
    answer = client.post(
        f"{at}/login", data={"token": TOKEN, "next": "/tools/pairscope/jobs", "csrf_token": csrf_token(page.text)}
    )
    assert answer.headers["Location"] == "/tools/pairscope/jobs"
    page = client.get(f"{at}/jobs")
    assert page.status_code == 200 and 'action="/jobs' not in page.text and 'href="/jobs' not in page.text
    assert client.get("/tools/pairscopes/jobs").status_code == 404
