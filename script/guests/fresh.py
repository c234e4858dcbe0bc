"""script/fresh-test: the README's two commands, the provisioning or the guide, the checks, and what breaks, on a
machine that was never used."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from script.guests import hardened as confine
from script.guests import older as before
from script.guests import place
from script.guests.machine import Machine, forget, machine
from script.guests.outside import Site, until
from script.guests.place import GuestError, Transcript, run, say

ROOT = Path(__file__).resolve().parents[2]
CHECKOUT = "/root/pairscope"
GUIDES = ("deploy/README.md", "deploy/apache/README.md", "deploy/mysql/README.md")
SOME_TESTS = "tests/test_docs.py tests/test_ipc.py tests/test_journal.py tests/test_proofs.py"
"""What the second command is asked for where it is one proof of many: the whole takes as long as all the rest, and is
--tests."""
_began = time.monotonic()


def expect(holds: object, claim: str) -> None:
    """Says what holds, and ends all where it does not."""
    if not holds:
        raise GuestError(f"NOT TRUE: {claim}")
    say(f"{time.monotonic() - _began:5.0f} s  {claim}")


def checkout(guest: Machine, target: str, user: str = "root") -> None:
    """A clean checkout of what is committed here, with its history."""
    with tempfile.TemporaryDirectory(prefix="pairscope-clone") as directory:
        # With hard links a second clone would change the times of the first one's files, and tar stops at a file that
        # changes.
        run("git", "clone", "--quiet", "--no-hardlinks", ROOT, f"{directory}/clone")
        guest.put(Path(directory, "clone"), target, user)


def readme(guest: Machine) -> None:
    """The README's two commands, by somebody who is not root."""
    guest.run(
        "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends git "
        "python3 python3-venv"
    )
    guest.run("useradd --create-home --shell /bin/bash visitor")
    checkout(guest, "/home/visitor/pairscope", "visitor")
    with open(guest.log.file, "a") as log:
        server = subprocess.Popen(
            guest.command("cd pairscope && exec script/server", "visitor"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    try:
        assert server.stdout is not None
        said = []
        for line in server.stdout:
            said.append(line)
            if "Log in" in line:
                break
        guest.log.add("visitor$ script/server", "".join(said), "it runs")
        address = re.search(r"http://127\.0\.0\.1:\d+/", "".join(said))
        expect(address, "script/server prints its address and a login link, without root")
        tell = guest.run("cd pairscope && .venv/bin/pairscope submit digest README.md", "visitor")
        expect("sha256" in tell, "a job is submitted from the command line and done")
        tell = guest.run("cd pairscope && .venv/bin/pairscope lab run parent-and-child", "visitor")
        expect(
            re.search("^as expected in", tell, re.MULTILINE),
            "a scenario of the lab is run by real processes, and holds",
        )
        tell = guest.run("cd pairscope && .venv/bin/pairscope tail -n 20 --json", "visitor")
        expect('"task"' in tell and '"result"' in tell, "its messages are in the record")
    finally:
        guest.attempt("pkill -INT -u visitor -f 'pairscope serve'")
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
    expect(server.returncode in (0, 130), "Ctrl-C stops it")
    expect(not guest.attempt("pgrep -u visitor -f pairscope").stdout.strip(), "nothing of it is left")
    tried = guest.attempt(f"cd pairscope && script/test -q -rs {SOME_TESTS}", "visitor", timeout=900)
    last = tried.stdout.strip().splitlines()[-1] if tried.stdout.strip() else ""
    expect(
        tried.returncode == 0,
        f"script/test passes for what needs no further package: {last}",
    )
    expect("needs root: it boots guests" in tried.stdout, "and says why the proofs on fresh machines are left out")


def tests(guest: Machine) -> None:
    """The README's second command as it stands there, by root. Inside a guest the proofs leave themselves out."""
    guest.run(
        "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends git "
        "python3 python3-venv"
    )
    checkout(guest, CHECKOUT)
    said = guest.attempt(f"cd {CHECKOUT} && script/test -q -rs", timeout=3000)
    last = said.stdout.strip().splitlines()[-1] if said.stdout.strip() else ""
    expect(
        said.returncode == 0,
        f"script/test passes on a fresh machine: {last}",
    )
    expect("this is a guest itself" in said.stdout, "and says why the proofs on fresh machines are left out")


def changes(output: str) -> int:
    """How many changes provisioning says that it made."""
    found = re.search(r"(\d+) changes\.", output)
    if not found:
        raise GuestError("provisioning did not say how many changes it made")
    return int(found[1])


def provision(guest: Machine, **more: str) -> int:
    """Runs the provisioning; how many changes it made."""
    words = " ".join(f"{name}={value}" for name, value in more.items())
    return changes(guest.run(f"{words} {CHECKOUT}/deploy/provision.sh", timeout=900))


def refusals(guest: Machine) -> None:
    """What the provisioning says where it cannot do its work; nothing is changed by it."""
    before = guest.run("ls /opt /etc; dpkg-query -f '${Package}\\n' -W")
    guest.run(
        "useradd --create-home stranger && cp -r /root/pairscope /home/stranger/ && chown -R stranger "
        "/home/stranger/pairscope"
    )
    said = guest.attempt("/home/stranger/pairscope/deploy/provision.sh", "stranger")
    expect(said.returncode == 1 and "needs root" in said.stdout, "without root the provisioning says that it needs it")
    said = guest.attempt(f"PAIRSCOPE_PORT=eighty {CHECKOUT}/deploy/provision.sh")
    expect(said.returncode == 1 and "expected a number" in said.stdout, "a port that is none is refused")
    guest.run(
        "systemd-run --quiet --unit=squatter python3 -m http.server 8080 && for i in $(seq 50); do ss -Hltn "
        "'sport = :8080' | grep -q . && break; sleep 0.1; done"
    )
    said = guest.attempt(f"{CHECKOUT}/deploy/provision.sh")
    expect(
        said.returncode == 1 and "port 8080 is held by python3" in said.stdout,
        "a port that is taken is told with its holder",
    )
    guest.run("systemctl stop squatter; userdel --remove stranger")
    guest.run(
        "printf 'ID=fedora\n"
        'PRETTY_NAME="Fedora Linux 40"\n'
        "' > /run/other-release && mount --bind /run/other-release /etc/os-release"
    )
    said = guest.attempt(f"{CHECKOUT}/deploy/provision.sh")
    guest.run("umount /etc/os-release")
    expect(
        said.returncode == 1 and "this is Fedora Linux 40; expected Debian or Ubuntu" in said.stdout,
        "an unsupported system is told by its name",
    )
    guest.run("mount -t tmpfs -o size=100m none /opt")
    said = guest.attempt(f"{CHECKOUT}/deploy/provision.sh")
    guest.run("umount /opt")
    expect(
        said.returncode == 1 and "the disk of /opt has 100 MiB left; expected at least" in said.stdout,
        "a disk that is too small is told before anything is begun",
    )
    expect(
        before == guest.run("ls /opt /etc; dpkg-query -f '${Package}\\n' -W"),
        "a refused provisioning has changed nothing",
    )


TORN = r"""
apt-get -o DPkg::Lock::Timeout=300 -qq check || true
mkdir /srv/torn && cd /srv/torn
for version in 1 2; do for name in program library; do
    rm -rf made && mkdir -p made/DEBIAN
    printf '%s\n' "Package: torn-$name" "Version: $version" 'Architecture: all' 'Description: one of two' \
        'Maintainer: nobody <nobody@localhost>' >made/DEBIAN/control
    [ $name = library ] || echo "Pre-Depends: torn-library (= $version)" >>made/DEBIAN/control
    dpkg-deb --build made $name-$version.deb
done; done
for name in program library; do
    dpkg-deb --field $name-2.deb
    printf '%s\n' "Filename: ./$name-2.deb" "Size: $(stat -c %s $name-2.deb)" \
        "SHA256: $(sha256sum <$name-2.deb | cut -d' ' -f1)" ''
done >Packages
dpkg --install library-1.deb && dpkg --install program-1.deb
echo 'deb [trusted=yes] file:/srv/torn ./' >/etc/apt/sources.list.d/torn.list
apt-get -qq update
dpkg --unpack library-2.deb
! apt-get -qq check
"""
"""An upgrade of two packages that need each other in one version, as it is left by an interruption after the first."""


def torn(guest: Machine) -> Callable[[], bool]:
    """Leaves an upgrade half done, as `dpkg --configure -a` cannot end it; what it returns tells whether it was ended.
    What an interruption meets depends on the moment, so this one is made."""
    guest.run(f"bash -e <<'TORN'\n{TORN}TORN")

    def mended() -> bool:
        whole = guest.attempt("apt-get -qq check").returncode == 0
        newer = guest.attempt("dpkg-query -W -f '${Version} ' torn-program torn-library").stdout == "2 2 "
        guest.run("dpkg --purge torn-program torn-library && rm -r /srv/torn /etc/apt/sources.list.d/torn.list")
        return whole and newer

    return mended


def full_disk(guest: Machine) -> None:
    """A disk that fills up while the libraries are installed."""
    guest.run("mount -t tmpfs -o size=700m none /opt")
    # Whatever pip writes meets a full disk from the moment at which its environment is there.
    guest.run(
        "systemd-run --quiet --unit=filler sh -c 'until [ -x /opt/pairscope/venv/bin/pip ]; do sleep 0.1; "
        "done; cat /dev/zero > /opt/filler; sleep inf'"
    )
    said = guest.attempt(f"{CHECKOUT}/deploy/provision.sh", timeout=900)
    expect(
        said.returncode == 1
        and re.search("the disk of /opt (is|was) full, so the step 'Install its libraries' failed", said.stdout),
        "a disk that fills up half-way is told with the step that failed",
    )
    guest.run("systemctl stop filler; rm /opt/filler")


def by_guide(guest: Machine) -> None:
    """The guide's commands, in order, as a stranger copies them."""
    count = 0
    for name in GUIDES:
        for block in re.findall(r"^```sh\n(.*?)^```$", (ROOT / name).read_text(), re.DOTALL | re.MULTILINE):
            guest.run(f"cd {CHECKOUT} && bash -e <<'BLOCK'\n{block}BLOCK", timeout=900)
            count += 1
    expect(count >= 25, f"the {count} blocks of the guide run one after the other, each without an error")
    until("the box is ready", lambda: Site(f"http://{guest.address}:8080").get("/readyz")["ready"])
    expect(provision(guest) == 0, "the script finds nothing left to do after the guide")


def box(guest: Machine, site: Site) -> str:
    """The box from outside: the checks, a job, its rows, the lab. The operator's token."""
    expect(
        site.get("/readyz")["ready"],
        f"the dashboard answers at {site.address}, and pool, journal and database are ready",
    )
    said = guest.attempt("pairscope checks --all")
    expect(
        said.returncode == 0,
        "pairscope checks finds everything as the guides say" + ("" if not said.returncode else f":\n{said.stdout}"),
    )
    bad = [row for row in site.findings().values() if row["verdict"] in ("critical", "recommended")]
    expect(not bad, f"and so does the page, asked over HTTP {bad or ''}")
    token = json.loads(guest.run("pairscope token create fresh-test --json 2>/dev/null"))["token"]
    job = site.submit(token)
    rows = until(
        "the job's rows are in MariaDB",
        lambda: int(guest.run(f"mariadb -N -e 'SELECT COUNT(*) FROM pairscope.messages WHERE job = {job}'")) >= 4,
    )
    expect(rows, "a job is submitted from outside, and MariaDB's own client counts its messages")
    run_ = site.get("/api/v1/lab/runs", {"scenario": "parent-and-child"})
    expect(run_["verdict"] == "held", "a scenario of the lab holds")
    shown = site.get(f"/api/v1/jobs/{job}")
    expect(
        shown["state"] == "done" and "name" in shown["withheld"] and not {"name", "result"} & set(shown),
        "a stranger sees the job, and neither its file's name nor what it found",
    )
    expect(site.get(f"/api/v1/jobs/{job}", token=token)["name"] == "fresh.txt", "an operator does")
    users = set(
        guest.run(
            "ps -eo user:20,args | grep -E 'wsgi:web|pairscope\\.(pool|lab|recorder)' | grep -v grep | cut -d' ' -f1"
        ).split()
    )
    expect(
        users == {"pairscope-web", "pairscope-pool", "pairscope-lab"},
        "web, pool and lab run as users of their own, and nothing of it as root",
    )
    return token


PROGRAMS = {
    "c": """#include <unistd.h>
int main(void)
{
    int end[2];
    char got[8];
    if (pipe(end))
        return 1;
    if (write(end[1], "stepped", 7) != 7)
        return 1;
    return read(end[0], got, 7) != 7;
}
""",
    "python": """import os

read, write = os.pipe()
os.write(write, b"stepped")
os.read(read, 7)
""",
}
"""In each language the same, and of each the lines at which it writes and reads."""
LINES = {"c": (8, 10), "python": (4, 5)}


def by_line(site: Site, language: str, token: str) -> None:
    """The site has a station run a program, and tells the lines of its steps."""
    told = site.run_program(language, PROGRAMS[language], token)
    wrote, took = r'write\(\d+, "stepped"\) = 7', r'read\(\d+, 7\) = 7  "stepped"'
    lines = re.findall(rf"^.* (?:{wrote}|{took})  line (\d+)$", told, re.MULTILINE)
    right = tuple(map(int, lines)) == LINES[language]
    claim = f"a program in {language} is run by a job through the site, and steps by line"
    expect(right, claim if right else f"{claim}:\n{told}")


def no_program(site: Site, language: str, token: str, words: str) -> None:
    """The site says why it does not run one."""
    try:
        told = site.run_program(language, PROGRAMS[language], token)
    except GuestError as error:
        told = str(error)
    expect(words in told, f"no program in {language}, and the page says why" + ("" if words in told else f":\n{told}"))


def chosen(guest: Machine, site: Site, token: str) -> None:
    """What a box chooses is what it does, also after the next provisioning; what is wrong there is told."""
    file = "/etc/pairscope/box.toml"
    guest.run(
        f"cp {file} /root/box.toml && printf 'public_outputs = true\nhistory_rows = 5000\nstop_grace = 2\n"
        f"compiler = true\n' >> {file}"
    )
    by_line(site, "python", token)
    no_program(site, "c", token, "no compiler of C is installed here")
    expect(provision(guest) >= 2, "choices in box.toml: provisioning writes the settings anew, and installs a compiler")
    until("the box is ready", lambda: site.get("/readyz")["ready"])
    until("programs in C are offered", lambda: site.findings()["Programs in C"]["verdict"] == "good")
    by_line(site, "c", token)
    job = site.submit(token)
    until("its row stands", lambda: site.get(f"/api/v1/jobs/{job}")["state"] == "done")
    expect(site.get(f"/api/v1/jobs/{job}")["name"] == "fresh.txt", "public_outputs shows a stranger the file's name")
    told = guest.run("grep -h -e history_rows -e stop_grace /etc/pairscope/pool.toml").split("\n")
    expect("history_rows = 5000" in told and "stop_grace = 2" in told, "the pool runs with what was chosen")
    expect(provision(guest) == 0, "a second run changes nothing: the choices stay")
    guest.run(f"echo 'prefix = \"nowhere/\"' >> {file}")
    said = guest.attempt(f"{CHECKOUT}/deploy/provision.sh")
    expect(
        said.returncode == 1 and "prefix is 'nowhere/'; expected a path such as /pairscope" in said.stdout,
        "a choice that is wrong is told with what was expected",
    )
    expect(site.get("/readyz")["ready"], "and the box goes on as it was")
    guest.run(f"mv /root/box.toml {file} && sed -i 's/^port.*/&\\naddress = \"127.0.0.1\"/' {file}")
    provision(guest)
    listens = until(
        "Apache listens on the loopback alone", lambda: "127.0.0.1:8080" in guest.run("ss -Hltn sport = :8080")
    )
    expect(listens and "*:8080" not in guest.run("ss -Hltn sport = :8080"), "address chooses where the site listens")
    guest.run(f"sed -i /^address/d {file}")
    provision(guest)
    until("the box answers from outside again", lambda: site.get("/readyz")["ready"])
    expect(True, "without it the site listens everywhere again")


def breakage(guest: Machine, site: Site, token: str) -> None:
    """What breaks is told within ten seconds, in words, and is good again by itself when it is mended."""

    def told(title: str, words: str, at: Site = site) -> str:
        def look() -> str:
            row = at.findings(token).get(title) or {}
            return (
                row.get("drift", "")
                if row.get("verdict") in ("critical", "recommended") and words in row.get("drift", "")
                else ""
            )

        return until(f"{title} is told: {words}", look, 10)

    def mended(*titles: str) -> bool:
        return until(
            f"{titles} are good again",
            lambda: all(site.findings(token).get(title, {}).get("verdict") == "good" for title in titles),
            30,
        )

    guest.run("systemctl stop mariadb")
    expect(told("MariaDB", "cannot be asked"), "MariaDB stopped: the stack page says so within ten seconds")
    guest.run("systemctl start mariadb")
    expect(mended("MariaDB", "Recorder"), "started again: it is good by itself")
    guest.run("mariadb -e \"REVOKE INSERT ON pairscope.runs FROM 'pairscope-web'@'localhost'\"")
    expect(
        told("Rights of pairscope-web", "lacks INSERT on pairscope.runs"),
        "a grant taken away: the stack page names it within ten seconds, to operators",
    )
    guest.run("mariadb -e \"REVOKE INSERT ON pairscope.messages FROM 'pairscope-pool'@'localhost'\"")
    expect(
        told("Rights of pairscope-pool", "lacks INSERT on pairscope.messages"),
        "and one of the recorder's, which only MariaDB's root could look up",
    )
    expect(provision(guest) == 1, "provisioning gives both again, and changes nothing else")
    expect(mended("Rights of pairscope-web", "Rights of pairscope-pool", "Recorder"), "and all is good")
    guest.run(
        "sed -i s/8080/8081/ /etc/apache2/conf-available/pairscope-port.conf && sed -i 's/:8080>/:8081>/' "
        "/etc/apache2/sites-available/pairscope.conf && systemctl reload apache2"
    )
    moved = Site(site.address.replace("8080", "8081"))
    guest.run("ufw allow 8081/tcp")
    until("it answers at the other port", lambda: moved.get("/readyz")["ready"])
    expect(
        "8081" in told("Port", "The guide says 8080, Apache is told to listen on 8081", moved),
        "the port moved: it is told in these words",
    )
    provision(guest)
    until("the dashboard is back at its port", lambda: site.get("/readyz")["ready"])
    expect(mended("Port", "Site"), "provisioned again: port and site are good")
    guest.run("ufw delete allow 8081/tcp")
    pool = "/var/lib/pairscope/pool"
    small, stop = "/mnt/small", "systemctl stop apache2 && while pgrep -u pairscope-pool >/dev/null; do sleep 0.1; done"
    guest.run(
        f"{stop} && mkdir -p {small} && mount -t tmpfs -o size=300m none {small} && cp -a {pool}/. {small}/ && "
        f"chmod --reference={pool} {small} && chown --reference={pool} {small} && mount --bind {small} {pool} "
        "&& systemctl start apache2"
    )
    until("the pool is back", lambda: site.get("/readyz")["ready"])
    guest.run(f"fallocate -l 200M {pool}/filler")
    expect(told("Disk of the journal", "nearly full"), "the journal's disk nearly full: it is told")
    guest.attempt(f"cat /dev/zero > {pool}/rest")

    def refused() -> bool:
        try:
            site.submit(token)
        except GuestError:
            return True
        return False

    until("a job is refused", refused, 30)
    expect(
        told("Journal", "Nothing can be appended"),
        "wholly full: nothing is accepted that cannot be recorded, and the stack page says so within ten seconds",
    )
    guest.run(f"rm {pool}/filler {pool}/rest")
    expect(mended("Journal", "Recorder", "Supervisor"), "with room again it is good by itself")
    site.submit(token)
    guest.run(f"{stop} && umount {pool} && cp -a {small}/. {pool}/ && umount {small} && systemctl start apache2")
    until("the pool is back", lambda: site.get("/readyz")["ready"])


def upgrade(guest: Machine, site: Site, token: str) -> None:
    """Newer code over the old box: restarted gracefully, nothing lost."""
    before = int(guest.run("mariadb -N -e 'SELECT COUNT(*) FROM pairscope.jobs'"))
    guest.run(f"echo '# newer' >> {CHECKOUT}/app/pairscope/web/words.py")
    said = guest.run(f"{CHECKOUT}/deploy/provision.sh", timeout=900)
    done = re.findall(r"^  changed  (.*)$", said, re.MULTILINE)
    # On a busy machine the parts are not ready at once, and it waits for them.
    expect(
        [step for step in done if step != "See that all parts are ready"]
        == ["Copy the code", "Compile it", "Start it with what was set up"],
        "newer code: it is copied, and the pool is restarted gracefully",
    )
    until("the new pool is ready", lambda: site.get("/readyz")["ready"])
    site.submit(token)
    expect(
        until(
            "the record goes on",
            lambda: int(guest.run("mariadb -N -e 'SELECT COUNT(*) FROM pairscope.jobs'")) == before + 1,
        ),
        "every job of before is still there, and a new one beside them",
    )
    expect(provision(guest) == 0, "a second run changes nothing")


def gone(guest: Machine) -> None:
    """Taken away again, and nobody else's things touched."""
    said = guest.attempt(f"{CHECKOUT}/deploy/unprovision.sh")
    expect(said.returncode == 1 and "--yes" in said.stdout, "unprovision asks for --yes")
    guest.run(f"{CHECKOUT}/deploy/unprovision.sh --yes --purge")
    left = guest.attempt(
        "ls -d /opt/pairscope /etc/pairscope /var/lib/pairscope /run/pairscope /var/log/pairscope "
        "/usr/local/bin/pairscope 2>/dev/null; getent passwd | grep pairscope; mariadb -N -e 'SHOW DATABASES' "
        "| grep pairscope"
    ).stdout
    expect(not left.strip(), f"after unprovision nothing of Pairscope is left {left}")
    guest.run("systemctl is-active apache2 mariadb")
    expect("Debian" in guest.run("curl -fsS http://127.0.0.1/"), "Apache's first page stands as before")


def among_others(guest: Machine, site: Site) -> None:
    """A machine whose Apache and MariaDB serve others already, and whose MariaDB's root has a password."""
    guest.run("ufw --force disable && mkdir /srv/other && echo 'the other site' > /srv/other/index.html")
    conf = (
        "<VirtualHost *:80>\n"
        "DocumentRoot /srv/other\n"
        "<Directory /srv/other>\n"
        "Require all granted\n"
        "</Directory>\n"
        "</VirtualHost>\n"
    )
    guest.run(
        f"printf '{conf}' > /etc/apache2/sites-available/other.conf && a2dissite -q 000-default && a2ensite -q "
        "other && systemctl reload apache2"
    )
    guest.run(
        'mariadb -e "CREATE DATABASE other; CREATE TABLE other.kept (a INT); INSERT INTO other.kept VALUES '
        "(7); ALTER USER root@localhost IDENTIFIED BY 'their-own-Word-1'\""
    )
    settings = guest.run(
        "cd /etc && md5sum mysql/mariadb.conf.d/* apache2/apache2.conf apache2/ports.conf "
        "apache2/sites-available/other.conf"
    )

    def stands() -> bool:
        rows = guest.run("MYSQL_PWD=their-own-Word-1 mariadb -N -e 'SELECT a FROM other.kept'")
        same = (
            guest.run(
                "cd /etc && md5sum mysql/mariadb.conf.d/* apache2/apache2.conf apache2/ports.conf "
                "apache2/sites-available/other.conf"
            )
            == settings
        )
        return guest.run("curl -fsS http://127.0.0.1/") == "the other site\n" and rows.strip() == "7" and same

    said = guest.attempt(f"{CHECKOUT}/deploy/provision.sh")
    expect(
        said.returncode == 1 and "MariaDB does not let root in: its root has a password" in said.stdout,
        "a MariaDB whose root has a password: it is told, with what to do",
    )
    expect(guest.attempt("ls /opt/pairscope").returncode, "and nothing was begun")
    guest.run("umask 077 && printf '[client]\npassword=their-own-Word-1\n' > /root/.my.cnf")
    said = guest.attempt(f"{CHECKOUT}/deploy/provision.sh", timeout=900)
    for left in (
        "the firewall would cut off what this machine serves already: 80/tcp (apache2)",
        "MariaDB serves other databases, too (other)",
    ):
        expect(
            left in said.stdout,
            f"with the password where it asks for it the box is set up, and leaves alone what is others': {left}",
        )
    expect(said.returncode == 0 and until("the box is ready", lambda: site.get("/readyz")["ready"]), "and it answers")
    expect(provision(guest) == 0, "a second run changes nothing")
    expect(stands(), "the other site, the other database and their settings are as before")
    guest.run(f"{CHECKOUT}/deploy/unprovision.sh --yes --purge")
    expect(stands() and guest.attempt("ls /opt/pairscope").returncode, "nor does unprovision touch them")


def hardened(guest: Machine, site: Site) -> None:
    """A box whose apache2.service hides /proc and more, from before it is provisioned."""
    confine.harden(guest)
    count = provision(guest)
    expect(count >= 15, f"under a hardened apache2.service deploy/provision.sh sets up the box with {count} changes")
    until("the box is ready", lambda: site.get("/readyz")["ready"])
    confine.holds(guest)
    expect(True, "web sees no process of others and nothing of /proc/sys, and a filter of system calls confines it")
    expect(provision(guest) == 0, "a second run changes nothing, and says so")
    token = box(guest, site)
    works(guest)
    no_program(site, "python", token, "an ordinary user may not make a user namespace here")
    rows = site.findings(token)
    row = rows["Programs that come as their source"]
    expect(
        row["verdict"] == "unused" and "may not make a user namespace here" in row["drift"],
        "as RestrictNamespaces= has it for all that Apache starts, and the stack page says so",
    )
    for title in ("Processes of web", "Managed process pool", "seccomp", "Workers of Apache", "Port", "Supervisor"):
        say(f"           {title}: {rows[title]['observed']}")
    # A supervisor that is killed is no power failure, though the kernel's id of the boot is hidden.
    old = guest.run("pgrep -u pairscope-pool -f 'pairscope.pool$'").strip()
    guest.run(f"kill -9 {old}")
    until(
        "the next supervisor is ready",
        lambda: (
            f"supervisor pid {old}" not in (said := site.get("/readyz"))["checks"]["pool"]["detail"] and said["ready"]
        ),
    )
    site.submit(token)
    expect(
        guest.run("mariadb -N -e 'SELECT COUNT(*) FROM pairscope.quarantine'").strip() == "0",
        "a killed supervisor is replaced, and nothing is said to be lost",
    )
    breakage(guest, site, token)
    confine.harden(guest, confine.STRICT)
    guest.run("systemctl stop apache2")
    said = guest.attempt("systemctl start apache2")
    expect(said.returncode, "with ProtectSystem=strict Apache cannot write where the site does, and does not start")
    count = provision(guest)
    expect(1 <= count <= 3, f"provisioned again it may: {count} changes")
    until("the box is ready", lambda: site.get("/readyz")["ready"])
    expect(
        guest.run("cat /etc/systemd/system/apache2.service.d/pairscope.conf").count("\nReadWritePaths=") == 1,
        "by one setting in a drop-in of its own",
    )
    expect(provision(guest) == 0, "a second run changes nothing")
    box(guest, site)
    works(guest)
    guest.run("systemctl reload apache2")
    until("it comes back after a reload", lambda: site.get("/readyz")["ready"])
    gone(guest)


def older(guest: Machine, site: Site, commit: str) -> None:
    """A box that the commit set up is brought up to date by the provisioning of today."""
    guest.run(
        "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy install --no-install-recommends git python3"
    )
    checkout(guest, CHECKOUT)
    guest.run(f"cd {CHECKOUT} && git checkout --quiet {commit}")
    count = provision(guest)
    expect(count >= 15, f"deploy/provision.sh of {commit[:12]} sets up the box with {count} changes")
    until("the old box is ready", lambda: site.get("/readyz")["ready"])
    # The guide's commands, given by hand, write bytecode beside the code, as Python does in a checkout.
    guest.run(f"python3 -m compileall -q /opt/pairscope/code/app {CHECKOUT}/app")
    token = json.loads(guest.run("pairscope token create earlier --json 2>/dev/null"))["token"]
    jobs = [site.submit(token)]
    guest.run("pairscope submit thumbnail /opt/pairscope/code/docs/images/lab.png")
    run_ = site.get("/api/v1/lab/runs", {"scenario": "nginx-channel"})
    expect(run_["verdict"] == "held", "its jobs work, and a scenario of its lab holds")

    def shown() -> dict[str, object]:
        """The old job and the old run, as they are told."""
        of_run = f"/api/v1/lab/runs/{run_['id']}"
        return {
            "the old job": site.get(f"/api/v1/jobs/{jobs[0]}", token=token),
            "its messages": site.get(f"/api/v1/messages?q=job:{jobs[0]}", token=token)["items"],
            "the old run of the lab, with its steps": site.get(of_run),
            "its program in C": guest.run(f"curl -fsS {site.address}{of_run}/export/c"),
        }

    until("the old job is recorded", lambda: site.get(f"/api/v1/jobs/{jobs[0]}")["state"] == "done")
    seen = shown()
    # What its recorder does not write any more waits in its journal for the next one.
    guest.run("pkill -STOP -u pairscope-pool -f 'app[.]recorder'")
    jobs.append(site.submit(token))

    def recorded() -> bool:
        return guest.run(f"mariadb -N -e 'SELECT COUNT(*) FROM pairscope.jobs WHERE id = {jobs[1]}'").strip() == "1"

    expect(not recorded(), "its journal keeps a job that has no row yet")
    old = guest.run("pgrep -u pairscope-web,pairscope-pool,pairscope-lab").split()

    guest.run(f"cd {CHECKOUT} && git checkout --quiet -")
    left = guest.run(f"cd {CHECKOUT}/app && ls -d */__pycache__").split()
    expect(len(left) > 5, "today's checkout over that of then: git leaves directories of bytecode behind")
    count = provision(guest)
    expect(count >= 5, f"deploy/provision.sh of today brings the box up to date with {count} changes")
    until(
        "the old processes have ended",
        lambda: not set(old) & set(guest.run("pgrep -u pairscope-web,pairscope-pool,pairscope-lab").split()),
    )
    alive = guest.attempt(f"pgrep -af '{before.NAMED}'").stdout
    expect(not alive.strip(), f"each process of then has ended, and none runs the package of then {alive}")
    until("the new pool is ready", lambda: site.get("/readyz")["ready"])
    has = guest.run("ls -A /opt/pairscope/code/app").split()
    expect(has == ["pairscope"], f"the code is the package of today and nothing else {has}")
    places = "/etc/pairscope /etc/apache2 /usr/local/bin/pairscope /etc/logrotate.d/pairscope"
    names = guest.attempt(f"grep -rnE '{before.NAMED}' {places}").stdout
    expect(not names.strip(), f"and no file of the system names the package of then {names}")
    expect(provision(guest) == 0, "a second run changes nothing")
    until("the job of the old journal has its row", recorded)
    kept = site.get(f"/api/v1/jobs/{jobs[1]}", token=token)
    expect(
        kept["state"] == "done" and kept["result"],
        "the job that only the old journal had is in the record, with its result",
    )
    quarantine = guest.run("mariadb -N -e 'SELECT COUNT(*) FROM pairscope.quarantine'").strip()
    expect(quarantine == "0", "and no record is put aside")
    for (name, was), now in zip(seen.items(), shown().values(), strict=True):
        expect(was == now, f"{name}: shown as before" + ("" if was == now else f", {was}, but now {now}"))
    for path in (f"/jobs/{jobs[0]}", f"/messages?q=job:{jobs[0]}", f"/lab/runs/{run_['id']}", "/workers", "/database"):
        guest.run(f"curl -fsS -o /dev/null '{site.address}{path}'")
    expect(True, "their pages open")
    said = guest.run("pairscope status")
    expect(
        re.search(r"^Pairscope \S+ on \S+ \(node \d+\), epoch \d+, running$", said, re.MULTILINE)
        and len(re.findall(r"^(?:pool|journal|database) +ready", said, re.MULTILINE)) == 3,
        f"pairscope status says that all is ready:\n{place.tail(said)}",
    )
    site.submit(token)
    box(guest, site)
    works(guest)
    gone(guest)


def works(guest: Machine) -> None:
    """Every kind of job, and every scenario of the gallery."""
    guest.run("install -m 0644 /opt/pairscope/code/docs/images/lab.png /var/tmp/lab.png")
    for kind in ("echo", "digest", "inspect", "compress", "thumbnail"):
        given = "--data hello" if kind == "echo" else "/var/tmp/lab.png"
        said = guest.attempt(f"pairscope submit {kind} {given}")
        expect(said.returncode == 0, f"{kind} is done" + ("" if not said.returncode else f":\n{said.stdout}"))
    names = [entry["name"] for entry in json.loads(guest.run("pairscope lab list --json"))]
    failed = [name for name in names if guest.attempt(f"pairscope lab run {name}").returncode]
    expect(not failed, f"all {len(names)} scenarios of the gallery hold {failed or ''}")


def main(arguments: list[str]) -> int:
    """Exit status: 0 all holds, 1 something does not, and which, 2 nothing could be begun."""
    parser = argparse.ArgumentParser(prog="script/fresh-test")
    parser.add_argument("--guide", action="store_true", help="the guide's commands by hand instead of the script")
    parser.add_argument(
        "--hardened",
        action="store_true",
        help="a box whose apache2.service hides /proc and forbids more, and nothing else",
    )
    parser.add_argument(
        "--tests",
        action="store_true",
        help="the README's second command, script/test, with every test, and nothing else",
    )
    parser.add_argument(
        "--upgrade",
        action="store_true",
        help="a box as the last state before the package moved to app/pairscope/ set it up, and nothing else",
    )
    asked = parser.parse_args(arguments)
    place.end_in_order()
    try:
        commit = before.commit(ROOT) if asked.upgrade else ""
    except GuestError as error:
        say(str(error))
        return 2
    directory = Path(tempfile.mkdtemp(prefix="pairscope-fresh"))
    log = Transcript(directory / "log")
    try:
        with machine(log) as guest:
            site = Site(f"http://{guest.address}:8080")
            if asked.tests:
                tests(guest)
            elif commit:
                older(guest, site, commit)
            elif asked.hardened:
                checkout(guest, CHECKOUT)
                hardened(guest, site)
            elif asked.guide:
                guest.run(
                    "apt-get -q update && DEBIAN_FRONTEND=noninteractive apt-get -qy install "
                    "--no-install-recommends python3"
                )
                checkout(guest, CHECKOUT)
                by_guide(guest)
                box(guest, site)
            else:
                readme(guest)
                checkout(guest, CHECKOUT)
                refusals(guest)
                said = guest.attempt(f"timeout --signal=INT 9 {CHECKOUT}/deploy/provision.sh")
                expect(
                    said.returncode and "Run it again: it goes on where it stopped" in said.stdout,
                    "interrupted half-way, it says that it goes on where it stopped",
                )
                mended = torn(guest)
                full_disk(guest)
                expect(mended(), "an upgrade that ended between two packages that need each other is mended by itself")
                count = provision(guest)
                expect(count >= 15, f"run again, deploy/provision.sh sets up the box with {count} changes")
                until("the box is ready", lambda: site.get("/readyz")["ready"])
                expect(provision(guest) == 0, "a second run changes nothing, and says so")
                token = box(guest, site)
                chosen(guest, site, token)
                breakage(guest, site, token)
                upgrade(guest, site, token)
                gone(guest)
                among_others(guest, site)
            name = guest.name
        expect(forget(name), "nothing of the guest is left on this host")
    except GuestError as error:
        say(f"\n{error}")
        say(log.last)
        say(f"What each command printed: {log.file}")
        return 1
    shutil.rmtree(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
