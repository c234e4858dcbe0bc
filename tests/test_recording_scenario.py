"""A recording as a scenario, on its pages. docs/recorder.md, "As a scenario"."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from flask import Flask

from pairscope.lab.language import parse
from pairscope.lab.stage import manager
from tests import test_recording_pages as recording_pages
from tests.test_recording_pages import OPERATOR, Site, handed_in

app, recorded, site = recording_pages.app, recording_pages.recorded, recording_pages.site


@pytest.mark.process
def test_a_recording_of_a_program_in_python_is_a_scenario_on_its_page_that_holds_in_the_lab(site: Site) -> None:
    status, page = site.get("")
    assert status == 200 and "As a scenario" in page
    (address,) = {one for one in re.findall(r'action="([^"]*)"', page) if one.endswith("/scenario")}
    status, text = site.get(f"{site.address.partition('//')[0]}//{site.address.split('/')[2]}{address}?from=1&to=")
    assert status == 200, text
    run = manager.run(parse(text))
    assert run.verdict == "held", (run.reason, text)
    assert "sendmsg" in text and "fds=[" in text and "# Left out: " in text
    for query, said in (
        ("from=x", "&#39;x&#39; is no step"),
        ("from=9&to=2", "steps 9 to 2; the recording has steps 1 to"),
        ("to=1", "none of these steps is one that the lab has"),
    ):
        status, page = site.get(f"scenario?{query}")
        assert status == 400 and said in page, page


@pytest.mark.web
def test_the_dashboard_opens_it_in_the_editor_and_gives_it_as_a_file_to_who_may_see_the_recording(
    app: Flask, recorded: Path
) -> None:
    address = handed_in(app, recorded)
    client, stranger = app.test_client(), app.test_client()
    page = client.get(address, headers=OPERATOR)
    assert f'action="{address}/scenario"' in page.text and f'formaction="{address}/scenario/file"' in page.text
    file = client.get(f"{address}/scenario/file?download=1", headers=OPERATOR)
    assert file.status_code == 200 and "attachment" in file.headers["Content-Disposition"]
    parse(file.text)
    editor = client.get(f"{address}/scenario?from=1", headers=OPERATOR)
    assert editor.status_code == 200
    (written,) = re.findall(r"<textarea[^>]*>\n?(.*?)</textarea>", editor.text, re.DOTALL)
    assert html.unescape(written).strip() == file.text.strip()
    for one in ("scenario", "scenario/file"):
        assert stranger.get(f"{address}/{one}").status_code == 404
