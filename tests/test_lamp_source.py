"""mod_wsgi built from source by pip and apxs, as the Apache guide's chapter has it, serves the same site."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pairscope.files import SOURCE
from pairscope.lamp.place import choose
from pairscope.lamp.private import Private
from pairscope.lamp.serve import free_port
from tests.lamp import PROJECT, Lamp
from tests.running import TOKEN

pytestmark = [
    pytest.mark.lamp,
    pytest.mark.needs("apxs2", "gcc"),
    pytest.mark.leaves(
        "Apache's processes end a moment after it; that nothing of this instance is left is claimed below"
    ),
]


def test_a_module_built_from_source_serves_the_site_with_its_pool(tmp_path: Path) -> None:
    base = Path(os.path.realpath(sys.executable))
    subprocess.run([base, "-m", "venv", tmp_path / "built"], check=True)
    pip: list[str | Path] = [
        tmp_path / "built" / "bin" / "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "-r",
        PROJECT / "deploy/apache/requirements.txt",
    ]
    subprocess.run(pip, check=True, capture_output=True)
    told = subprocess.run(
        [tmp_path / "built" / "bin" / "mod_wsgi-express", "module-config"], check=True, capture_output=True, text=True
    ).stdout
    module = re.search(r'LoadModule wsgi_module "([^"]+)"', told)
    assert module, told
    umask = os.umask(0o022)
    directory = Path(tempfile.mkdtemp(prefix="source"))
    directory.chmod(0o711)
    own = shutil.copy(module[1], directory / "mod_wsgi.so")
    place = choose(SOURCE, Path(sys.prefix), directory / "lamp", lambda _: None)
    private = Private(place, lambda _: None, port=free_port("0"), operator_token=TOKEN, wsgi=Path(own))
    lamp = Lamp(private)
    try:
        private.start()
        lamp.ready()
        assert str(own) in Path(f"/proc/{private.apache.pid}/maps").read_text(), (
            "Apache has loaded the module that was built"
        )
        assert lamp.visitor.get("/").status == 200
        job = lamp.visitor.submit("digest", b"by a module from source", token=TOKEN, wait=20)
        assert job.json["state"] in ("done", "recording") and job.json["result"]["sha256"]
        private.stop()
        assert not lamp.processes()
    finally:
        private.kill()
        place.leave()
        shutil.rmtree(directory)
        os.umask(umask)
