"""What a box chooses in box.toml: refused in a sentence where it is wrong, and in the files of every provisioning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pairscope import config
from pairscope.lamp import box

EVERY = """
port = 8081
address = "127.0.0.1"
trusted_hosts = ["dash.example"]
public_read = false
public_outputs = true
secure_cookies = true
lab_open = true
lab_programs = "off"
journal_sync = "batch"
history_rows = 5000
stop_grace = 2
trusted_proxies = ["10.0.0.0/8", "::1"]
prefix = "/tools/pairscope"
workers = 3
compiler = true
node = 7
node_name = "here"
"""
WEB = {
    "public_read": False,
    "public_outputs": True,
    "secure_cookies": True,
    "lab_open": True,
    "lab_programs": "off",
    "trusted_proxies": ("10.0.0.0/8", "::1"),
    "prefix": "/tools/pairscope",
    "trusted_hosts": ("localhost", "127.0.0.1", "[::1]", "dash.example"),
}
POOL = {"journal_sync": "batch", "history_rows": 5000, "stop_grace": 2, "workers": 3, "node": 7, "node_name": "here"}


def chosen(directory: Path, text: str) -> dict[str, Any]:
    path = directory / "box.toml"
    path.write_text(text)
    return box.choices(path)


def generated(directory: Path, text: str) -> dict[str, str]:
    """The texts of the files that a provisioning writes for this choice, by name."""
    made = box.installation(chosen(directory, text), ("192.0.2.1",))
    parts = ("settings", "port", "site")
    return {file.path.name: file.text for part in parts for file in box.files(part, made)}


def read(directory: Path, files: dict[str, str], name: str) -> config.Settings:
    (directory / name).write_text(files[name])
    return config.read(directory / name)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("colour = 1", "unknown choice 'colour'; expected one of port, address, hosts"),
        ("port = 0", "port is 0; expected a number from 1 to 65535"),
        ("port = true", "port is True; expected a number from 1 to 65535"),
        (
            'address = "10.0.0.1"',
            "address is '10.0.0.1'; expected '*', which is all addresses of this machine, or '127",
        ),
        ("address = []", "address is []; expected '*'"),
        ('hosts = "x"', "hosts is 'x'; expected a list of host names"),
        ('trusted_hosts = ["a b"]', "trusted_hosts holds 'a b'; expected host names without a port"),
        ('hosts = ["a"]\ntrusted_hosts = ["b"]', "hosts and trusted_hosts are both given; expected hosts, which adds"),
        ('public_read = "no"', "public_read is 'no'; expected true or false"),
        ("public_outputs = 1", "public_outputs is 1; expected true or false"),
        ('secure_cookies = "yes"', "secure_cookies is 'yes'; expected true or false"),
        ("lab_open = []", "lab_open is []; expected true or false"),
        ('lab_programs = "all"', "lab_programs is 'all'; expected 'operators' or 'off'"),
        ('journal_sync = "always"', "journal_sync is 'always'; expected 'none' or 'batch'"),
        ("history_rows = 10", "history_rows is 10; expected a whole number from 1000 to 1000000000"),
        ("stop_grace = -1", "stop_grace is -1; expected a whole number from 0 to 3600"),
        ('trusted_proxies = ["proxy"]', "trusted_proxies holds 'proxy'; expected an address or a network such as 192"),
        ('trusted_proxies = "10.0.0.1"', "trusted_proxies is '10.0.0.1'; expected a list of strings"),
        ('compiler = "gcc"', "compiler is 'gcc'; expected true or false"),
        ("compiler = 1", "compiler is 1; expected true or false"),
        ('prefix = "tools/"', "prefix is 'tools/'; expected a path such as /pairscope, without a slash at its end"),
        ('prefix = "/a b"', "prefix is '/a b'; expected a path such as /pairscope"),
        ('prefix = "/${HOME}"', "prefix is '/${HOME}'; expected a path such as /pairscope"),
        ('workers = "2"', "workers is '2'; expected a whole number from 1 to 32"),
    ],
)
def test_a_wrong_choice_is_told_with_what_was_expected(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(box.BoxError) as refused:
        chosen(tmp_path, line)
    assert str(refused.value).startswith(f"{tmp_path}/box.toml: {words}")


def test_every_choice_comes_into_the_settings_of_every_provisioning(tmp_path: Path) -> None:
    first, second = generated(tmp_path, EVERY), generated(tmp_path, EVERY)
    assert first == second
    web, pool = read(tmp_path, first, "web.toml"), read(tmp_path, first, "pool.toml")
    assert {name: getattr(web, name) for name in WEB} == WEB
    assert {name: getattr(pool, name) for name in POOL} == POOL
    assert web.history_rows == 5000, "the database's page tells the bound"
    assert set(box.CHOSEN) <= {*WEB, *POOL}, "each is looked at here"
    assert read(tmp_path, first, "lab.toml").lab_programs == "off"
    read(tmp_path, first, "migrate.toml")


def test_a_box_that_chooses_nothing_listens_everywhere_and_shows_outputs_to_operators_alone(tmp_path: Path) -> None:
    files = generated(tmp_path, "port = 8080\n")
    web = read(tmp_path, files, "web.toml")
    assert web.public_read and not web.public_outputs and "192.0.2.1" in web.trusted_hosts
    assert "\nListen 8080\n" in files["pairscope-port.conf"] and "<VirtualHost *:8080>" in files["pairscope.conf"]


def test_a_box_can_listen_on_the_loopback_alone_and_below_a_prefix(tmp_path: Path) -> None:
    files = generated(tmp_path, EVERY)
    assert "\nListen 127.0.0.1:8081\n" in files["pairscope-port.conf"]
    assert "<VirtualHost 127.0.0.1:8081>" in files["pairscope.conf"]
    assert "Alias /tools/pairscope/static/ " in files["pairscope.conf"]
    assert "192.0.2.1" not in files["web.toml"], "trusted_hosts takes the place of this machine's own names"


@pytest.mark.parametrize("name", ["public_outputs", "compiler"])
def test_vagrant_shows_outputs_and_has_a_compiler_unless_its_box_has_chosen_otherwise(name: str) -> None:
    text = Path(__file__).parents[1].joinpath("deploy", "vagrant.sh").read_text()
    assert f"grep -qs '^{name}' /etc/pairscope/box.toml || echo '{name} = true' >>" in text
    assert name in box.NAMES


@pytest.mark.parametrize(
    ("text", "status"), [("compiler = true\n", 0), ("compiler = false\n", 1), ("port = 8081\n", 1), ("port = 0\n", 2)]
)
def test_whether_a_box_has_chosen_a_compiler_is_told_to_the_provisioning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, status: int
) -> None:
    (tmp_path / "box.toml").write_text(text)
    monkeypatch.setattr(box.choices, "__defaults__", (tmp_path / "box.toml",))
    monkeypatch.setattr("sys.argv", ["box", "chosen", "compiler"])
    assert box.main() == status


@pytest.mark.parametrize(("host", "shown"), [("", True), ("127.0.0.1", True), ("0.0.0.0", False), ("192.0.2.1", False)])
def test_the_embedded_run_shows_outputs_where_it_listens_on_the_loopback(
    tmp_path: Path, host: str, shown: bool
) -> None:
    given = {"PAIRSCOPE_STATE": str(tmp_path)} | ({"PAIRSCOPE_HOST": host} if host else {})
    assert config.embedded(given).public_outputs == shown
