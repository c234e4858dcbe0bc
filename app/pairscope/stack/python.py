"""Python and the application: code, environment, settings, the command."""

from pairscope.stack.step import Chapter, Step

EXCLUDED = " ".join(
    f"--exclude={name}" for name in ("/.git", "/.venv", "/.vagrant", "/var", "/shots", "'/.*_cache'", "__pycache__")
)
SYNC = f"rsync -rlm --checksum --delete --chmod=ugo=rX,u+w {EXCLUDED}"
"""Without directories that hold nothing (m): git leaves one behind where code was moved away and bytecode stays."""

COMPILER_CHOSEN = "/opt/pairscope/venv/bin/python -P -m pairscope.lamp.box chosen compiler"
BYTECODE = "/opt/pairscope/code/app/pairscope/__pycache__"

CHAPTER = Chapter(
    id="python",
    title="Python and the application",
    guide="README.md",
    intro="The code is copied to /opt/pairscope and its libraries are installed beside it, in an environment that no "
    "other program uses.",
    steps=(
        Step(
            id="python-packages",
            title="Install Python",
            purpose="Debian's own Python: Apache's mod_wsgi is linked with it, so the application runs in it and in no "
            "other.",
            commands="DEBIAN_FRONTEND=noninteractive apt-get -y install --no-install-recommends python3 python3-venv",
            done="installed python3 python3-venv",
            see="`python3 --version` tells 3.11 or newer",
            wrong=(
                ("an older version", "the system is too old: Debian 12 and Ubuntu 24.04 are the first that have 3.11"),
            ),
            elsewhere=(
                ("Ubuntu", "24.04 has 3.12, which serves; 22.04 has 3.10, which is too old"),
                (
                    "RHEL family",
                    (
                        "dnf -y install python3.11; mod_wsgi must then be built for it, see the last chapter of "
                        "the Apache guide"
                    ),
                ),
            ),
        ),
        Step(
            id="python-code",
            title="Copy the code",
            purpose="What runs is root's and readable for all; the checkout can be changed, or removed, without "
            "touching it.",
            commands=f'{SYNC} --delete-excluded "{{source}}/" /opt/pairscope/code/',
            # Bytecode beside its code, which root's own commands write, is no change. Where there is no code any more,
            # rsync says that it cannot delete the directory.
            done=f'[ -d /opt/pairscope/code/app/pairscope ] && [ -z "$({SYNC} --dry-run --out-format=%n "{{source}}/" '
            '/opt/pairscope/code/)" ]',
            see="nothing; `ls /opt/pairscope/code` shows app, deploy and script",
            wrong=(
                ("`rsync: ... change_dir failed`", "the command was not given in the checkout's directory: `cd` there"),
            ),
        ),
        Step(
            id="python-bytecode",
            title="Compile it",
            purpose="What runs it may not write here. Without bytecode each process compiled all of it anew, "
            "which took half the time of web's start.",
            commands=f"/usr/bin/python3 -m compileall -q /opt/pairscope/code/app\ntouch {BYTECODE}",
            done=f'[ -d {BYTECODE} ] && [ -z "$(find /opt/pairscope/code/app -name "*.py" -newer {BYTECODE})" ]',
            see="nothing; `ls /opt/pairscope/code/app/pairscope/__pycache__` shows files that end in .pyc",
            wrong=(("`SyntaxError`", "python3 is older than 3.11: the first step of this chapter"),),
        ),
        Step(
            id="python-environment",
            title="Install its libraries",
            purpose="requirements.txt names each library with its version and its checksums; they go into an "
            "environment of their own, which also gets the command.",
            commands="VENV=/opt/pairscope/venv PYTHON=/usr/bin/python3 /opt/pairscope/code/script/environment",
            done=(
                '(cd /opt/pairscope/code && [ "$(cat requirements*.txt requirements.txt | cksum)" = '
                '"$(cat /opt/pairscope/venv/installed-requirements.txt)" ] && '
                '[ "$(cat pyproject.toml requirements-build.txt | cksum)" = '
                '"$(cat /opt/pairscope/venv/installed-pairscope)" ])'
            ),
            see="`Successfully installed ... flask ... sqlalchemy`, and then `Successfully installed pairscope`",
            wrong=(
                ("`No matching distribution found`", "PyPI cannot be reached: a proxy goes into /etc/pip.conf"),
                (
                    "`THESE PACKAGES DO NOT MATCH THE HASHES`",
                    "what was fetched is not what requirements.txt means: nothing was installed of it",
                ),
            ),
        ),
        Step(
            id="python-choices",
            title="Write down what this box chooses",
            purpose="The port, and if you like `hosts` (further names that the site answers to), `workers`, "
            "`compiler`, or who may see what. All settings come from this one file; docs/stack.md lists what it may "
            "hold.",
            commands=(
                'grep -qs "^port" /etc/pairscope/box.toml || echo "port = {port}" >> /etc/pairscope/box.toml\n'
                'sed -i "s/^port *=.*/port = {port}/" /etc/pairscope/box.toml'
            ),
            done='grep -q "^port = {port}$" /etc/pairscope/box.toml',
            see="`cat /etc/pairscope/box.toml` shows the port",
            wrong=(
                (
                    "`This site does not answer to the host name of the request` in the browser later",
                    'name the host here, `hosts = ["dash.example.org"]`, and repeat the next step and the restart',
                ),
            ),
        ),
        Step(
            id="python-settings",
            title="Make the settings from it",
            purpose="One file for each part, readable for that part alone.",
            commands="/opt/pairscope/venv/bin/python -P -m pairscope.lamp.box write settings",
            done="/opt/pairscope/venv/bin/python -P -m pairscope.lamp.box same settings",
            see="`/etc/pairscope/web.toml: written`, and so on",
            wrong=(
                (
                    "`unknown choice`, or `expected`",
                    "box.toml holds something that it may not; the sentence says what, and what was expected",
                ),
                ("`ModuleNotFoundError`", "the libraries are not whole: repeat the step before the last"),
            ),
        ),
        Step(
            id="python-compiler",
            title="Install the compiler of C, where box.toml chooses it",
            purpose="Operators may run a program that they paste, in C or Python. C needs gcc, which a server does not "
            "have by itself: `compiler = true` in box.toml has it installed. Without that this step does nothing.",
            # What is changed below /etc/pairscope has the pool started again: only then a station says what it can.
            commands=f"! {COMPILER_CHOSEN} || {{ DEBIAN_FRONTEND=noninteractive apt-get -y install "
            "--no-install-recommends gcc libc6-dev && touch /etc/pairscope/box.toml; }",
            done=f"! {COMPILER_CHOSEN} || installed gcc libc6-dev",
            see="nothing, or `Setting up gcc`; then the page of programs offers C",
            wrong=(
                (
                    "`no compiler of C is installed here` on the page of programs",
                    "box.toml has no `compiler = true`: add it, and repeat this step and the restart of the pool",
                ),
            ),
            elsewhere=(("RHEL family", "dnf -y install gcc glibc-devel"),),
        ),
        Step(
            id="python-command",
            title="Install the command",
            purpose="`pairscope status`, `pairscope checks`: each runs as the user whose business it is.",
            commands="install -m 0755 /opt/pairscope/code/deploy/pairscope.sh /usr/local/bin/pairscope",
            done="cmp -s /opt/pairscope/code/deploy/pairscope.sh /usr/local/bin/pairscope && is "
            "/usr/local/bin/pairscope root:root:755",
            see="`pairscope --help` lists the commands",
            wrong=(
                (
                    "`command not found`",
                    "/usr/local/bin is not in this shell's PATH, as after `su` without `-`: `su -`, or `sudo -i`",
                ),
            ),
        ),
    ),
)
