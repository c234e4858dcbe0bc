"""A proxy that ends TLS in front of the site: a real Apache with mod_ssl, and a browser's login through it."""

from __future__ import annotations

import os
import re
import ssl
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError

import pytest

from pairscope.lamp.serve import free_port
from pairscope.lamp.server import Server, program
from tests.lamp import Lamp
from tests.running import TOKEN, csrf_token

pytestmark = [pytest.mark.lamp, pytest.mark.needs("mod_ssl.so", "openssl")]

MODULES = ("mpm_event", "authz_core", "headers", "proxy", "proxy_http", "ssl")
CONFIGURATION = """\
ServerRoot "{place}"
DefaultRuntimeDir "{place}"
PidFile "{place}/apache.pid"
ErrorLog "{place}/error.log"
ServerName localhost
{modules}
{user}
Listen 127.0.0.1:{port}
SSLEngine On
SSLCertificateFile "{place}/both.pem"
RequestHeader set X-Forwarded-Proto https
ProxyPreserveHost {kept}
ProxyPass / {site}/
"""


@pytest.fixture
def proxied(lamp: Lamp, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[tuple[str, ssl.SSLContext]]:
    """The address of the proxy, and what believes its certificate. The parameter: whether it keeps the host's name."""
    pem = tmp_path / "both.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", pem, "-out", tmp_path / "certificate.pem"),
        ],
        check=True,
        capture_output=True,
    )
    pem.write_text(pem.read_text() + (tmp_path / "certificate.pem").read_text())
    port, made = free_port("0"), lamp.made
    file = tmp_path / "proxy.conf"
    file.write_text(
        CONFIGURATION.format(
            place=tmp_path,
            modules="\n".join(f"LoadModule {name}_module {made.modules}/mod_{name}.so" for name in MODULES),
            user=f"User {made.apache_user}\nGroup {made.apache_group}" if os.geteuid() == 0 else "",
            port=port,
            kept="On" if request.param else "Off",
            site=made.base_url.rstrip("/"),
        )
    )
    context = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
    address = f"https://localhost:{port}"

    def answers() -> bool:
        return urllib.request.urlopen(f"{address}/healthz", context=context, timeout=30).status == 200

    server = Server("the proxy", tmp_path / "error.log")
    try:
        server.launch(["setpriv"], [program("apache2"), "-f", str(file), "-DFOREGROUND"], answers, 30)
        yield address, context
    finally:
        server.kill()


def log_in(address: str, context: ssl.SSLContext) -> tuple[int, str]:
    """As a browser does: the status and the page that come after the form was sent."""
    jar = urllib.request.HTTPCookieProcessor(CookieJar())
    browser = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), jar)
    page = browser.open(f"{address}/login", timeout=60).read().decode()
    form = urllib.parse.urlencode({"token": TOKEN, "csrf_token": csrf_token(page)}).encode()
    try:
        answer = browser.open(urllib.request.Request(f"{address}/login", form, {"Origin": address}), timeout=60)
    except HTTPError as refused:
        return refused.code, refused.read().decode()
    return answer.status, answer.read().decode()


@pytest.mark.parametrize("proxied", [True], indirect=True, ids=["kept"])
def test_a_login_works_through_tls_and_a_proxy_that_keeps_the_name_of_the_host(
    proxied: tuple[str, ssl.SSLContext],
) -> None:
    status, page = log_in(*proxied)
    assert status == 200 and 'action="/logout"' in page, re.findall(r"(?s)<main.*", page)[0][:2500]


@pytest.mark.parametrize("proxied", [False], indirect=True, ids=["changed"])
def test_a_login_through_a_proxy_that_changes_it_and_is_not_trusted_says_what_to_set(
    proxied: tuple[str, ssl.SSLContext],
) -> None:
    status, page = log_in(*proxied)
    assert status == 403 and "name its address, 127.0.0.1, in trusted_proxies" in page, re.findall(
        r"(?s)<main.*", page
    )[0][:2500]
