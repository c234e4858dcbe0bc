"""The dashboard of a guest, looked at from this host over HTTP."""

from __future__ import annotations

import html
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

from script.guests.place import GuestError

PATIENCE = 60.0


class Site:
    """What answers at an address."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str, value: Any = None, token: str = "") -> Any:
        """The JSON answer; with `value` it is posted. GuestError for any other status than 2xx."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = None
        if value is not None:
            data, headers["Content-Type"] = json.dumps(value).encode(), "application/json"
        return self._open(urllib.request.Request(self.address + path, data, headers))

    def run_program(self, language: str, source: str, token: str) -> str:
        """Has the site run a program, as its form does; the transcript of its recording."""
        headers = {"Authorization": f"Bearer {token}"}
        form = urllib.parse.urlencode({"language": language, "source": source}).encode()
        # Its answer leads to the first step that has a line.
        step = self._open(urllib.request.Request(self.address + "/lab/program", form, headers), lambda it: it.geturl())
        of = str(step).partition("/steps/")[0]
        return str(self._open(urllib.request.Request(of + "/transcript", None, headers), lambda it: it.read().decode()))

    @staticmethod
    def _open(request: urllib.request.Request, take: Callable[[Any], Any] = json.load) -> Any:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return take(answer)
        except urllib.error.HTTPError as error:
            raise GuestError(
                f"{request.full_url}: {error.code} {_words(error.read().decode(errors='replace'))}"
            ) from None
        except OSError as error:
            raise GuestError(f"{request.full_url}: {error}") from None

    def submit(self, token: str) -> str:
        """Sends a file to be digested; the id of its job, which is done."""
        boundary = "pairscope-boundary"
        body = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="kind"\r\n\r\ndigest\r\n'
            f"--{boundary}\r\n"
            'Content-Disposition: form-data; name="file"; filename="fresh.txt"\r\n'
            "\r\n"
            "fresh from outside\r\n"
            f"--{boundary}--\r\n"
        ).encode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": f"multipart/form-data; boundary={boundary}"}
        job = self._open(urllib.request.Request(self.address + "/api/v1/jobs?wait=20", body, headers))
        if job["state"] not in ("done", "recording") or not job["result"]:
            raise GuestError(f"the job came back as {job}")
        return job["id"]

    def findings(self, token: str = "") -> dict[str, dict[str, str]]:
        """The rows of /api/v1/checks by their titles; with a token those for operators, too."""
        return {row["title"]: row for row in self.get("/api/v1/checks", token=token)["items"]}


def _words(answer: str) -> str:
    """What a refusal says: of a page its problem."""
    found = re.search(r'role="alert"[^>]*>\s*<p>(.*?)</p>', answer, re.DOTALL)
    return html.unescape(found[1]).strip() if found else answer[:500]


def until(what: str, look: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """Asks again until the answer is true. GuestError after `patience` seconds, with the last one."""
    deadline, last = time.monotonic() + patience, None
    while time.monotonic() < deadline:
        try:
            last = look()
        except GuestError as error:
            last = None
            problem: Any = error
        else:
            problem = last
        if last:
            return last
        time.sleep(0.25)  # another machine: there is no event to wait for
    raise GuestError(f"not within {patience:g} s: {what} (last: {problem})")
