"""The files of ``deploy/`` filled in: as a box gets them, and with values that need quoting."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import tomllib
from pathlib import Path

import pytest

from pairscope import config
from pairscope.lamp.installation import DatabaseUser, Installation
from pairscope.lamp.place import Account
from pairscope.lamp.server import program
from pairscope.lamp.templates import apache, cnf, fill, sql, toml
from tests.lamp import Lamp

ODD = "a b'c\"d\\e#f%g$h;i,j"


def box(directory: Path) -> Installation:
    """A box's, with users that every Debian has in the place of its own."""
    return Installation(
        code=Path("/srv/pairscope"),
        venv=Path("/srv/pairscope/.venv"),
        conf=directory,
        log=directory,
        run=directory,
        pool_run=Path("/run/pairscope/pool"),
        live_run=Path("/run/pairscope/live"),
        state=Path("/var/lib/pairscope/pool"),
        web_state=Path("/var/lib/pairscope/web"),
        socket=Path("/run/mysqld/mysqld.sock"),
        web_user="www-data",
        web_group="www-data",
        pool_user="daemon",
        pool_group="daemon",
        lab_user="nobody",
        lab_group="nogroup",
    )


@pytest.mark.needs("apache2", "mod_wsgi.so")
@pytest.mark.parametrize("name", ["box", ODD.replace('"', ""), "behind a proxy"])
@pytest.mark.process
def test_apache_accepts_a_boxs_site(tmp_path: Path, name: str) -> None:
    directory = tmp_path / name
    directory.mkdir()
    made = box(directory)
    if name == "behind a proxy":
        made = dataclasses.replace(made, address="127.0.0.1", settings={"prefix": "/tools/pairscope"})
    (directory / "site.conf").write_text(fill("apache/site.conf", made))
    (directory / "server.conf").write_text(fill("apache/server.conf", made))
    checked = subprocess.run(
        [program("apache2"), "-t", "-f", directory / "server.conf"], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr


def test_web_and_pool_of_a_box_are_users_of_their_own_and_meet_at_the_control_socket(tmp_path: Path) -> None:
    site = fill("apache/site.conf", box(tmp_path))
    assert "user=www-data group=www-data" in site and "user=daemon group=daemon supplementary-groups=www-data" in site
    assert "user=nobody group=nogroup supplementary-groups=www-data" in site
    for reader in ("web", "pool", "lab", "migrate"):
        (tmp_path / f"{reader}.toml").write_text(fill("settings.toml", box(tmp_path), reader=reader))
    pool, web = config.read(tmp_path / "pool.toml"), config.read(tmp_path / "web.toml")
    assert (pool.control_users, pool.socket_group) == (("www-data", "nobody"), "www-data")
    assert (
        config.read(tmp_path / "lab.toml").control == pool.control
        and "mysql" not in (tmp_path / "lab.toml").read_text()
    )
    assert pool.control == web.control and pool.snapshot == web.snapshot
    assert pool.spool != web.spool and web.secret_key.parent == web.web_state
    assert len({web.history_url, pool.recorder_url, config.read(tmp_path / "migrate.toml").migrate_url}) == 3


def test_a_value_reads_back_as_it_was_written() -> None:
    assert tomllib.loads(f"a = {toml(ODD)}\nb = {toml([ODD, ''])}") == {"a": ODD, "b": [ODD, ""]}
    assert apache(ODD) == '"a b\'c\\"d\\\\e#f%g$h;i,j"'
    assert sql(ODD) == "'a b''c\"d\\\\e#f%g$h;i,j'"
    for write, value in ((apache, "a\nb"), (apache, "${HOME}"), (cnf, 'a"b')):
        with pytest.raises(ValueError, match="cannot stand"):
            write(value)


@pytest.mark.lamp
@pytest.mark.skipif(os.geteuid() != 0, reason="not root: only one user can be tried")
def test_a_boxs_users_log_in_by_being_who_they_are(lamp: Lamp) -> None:
    """unix_socket: MariaDB asks the kernel who connects."""
    made = Installation(
        **{
            field: getattr(box(Path("/")), field)
            for field in ("code", "venv", "conf", "log", "run", "pool_run", "live_run", "state", "web_state")
        },
        socket=lamp.made.socket,
        database="box",
        migrate=DatabaseUser("games", 2),
        recorder=DatabaseUser("daemon", 2),
        web=DatabaseUser("www-data", 2),
    )
    client = [program("mariadb"), "--no-defaults", f"--socket={made.socket}", "--batch", "--skip-column-names"]
    try:
        for _twice in range(2):
            lamp.mariadb.tell(fill("mysql/database.sql", made))
        tables = "; ".join(f"CREATE TABLE box.{name} (a INT)" for name in ("messages", "tokens", "alembic_version"))
        lamp.mariadb.tell(tables)
        grants = fill("mysql/grants.sql", made, history_tables=["messages"], own_tables=["tokens"])
        for _twice in range(2):
            lamp.mariadb.tell(grants)
        for account, user, statement, allowed in (
            (Account("www-data", "www-data"), "www-data", "SELECT * FROM box.messages", True),
            (Account("www-data", "www-data"), "www-data", "INSERT INTO box.tokens VALUES (1)", True),
            (Account("www-data", "www-data"), "www-data", "INSERT INTO box.messages VALUES (1)", False),
            (Account("daemon", "daemon"), "daemon", "INSERT INTO box.messages VALUES (1)", True),
            (Account("daemon", "daemon"), "www-data", "SELECT 1", False),
            (Account("games", "games"), "games", "ALTER TABLE box.messages ADD COLUMN b INT", True),
        ):
            assert account.can(*client, f"--user={user}", f"--execute={statement}") == allowed, (
                account,
                user,
                statement,
            )
    finally:
        lamp.mariadb.tell("DROP DATABASE box; DROP USER games@localhost, daemon@localhost, 'www-data'@localhost")
