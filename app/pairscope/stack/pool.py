"""The pool: started with all of it, looked at, and an operator let in."""

from pairscope.stack.step import Chapter, Step

CHAPTER = Chapter(
    id="pool",
    title="The pool, and the first look",
    guide="mysql/README.md",
    intro="Everything stands; now it is started with the code and the settings of today, and looked at.",
    steps=(
        Step(
            id="pool-restart",
            title="Start it with what was set up",
            purpose="A graceful restart: requests under way get their answer, the old pool finishes its jobs, the "
            "journal keeps what is not yet in the database.",
            commands="systemctl reload apache2",
            done=(
                '[ -S /run/pairscope/pool/control.sock ] && [ -z "$(find /etc/pairscope '
                "/opt/pairscope/code/app /etc/apache2/sites-available/pairscope.conf "
                '-name __pycache__ -prune -o -type f -cnewer /run/pairscope/pool/control.sock -print | head -n 1)" ]'
            ),
            see="`pairscope status` shows two workers",
            wrong=(
                (
                    "`the pool is away`",
                    (
                        "/var/log/pairscope/error.log says why the supervisor ended; Apache starts it again within "
                        "a second"
                    ),
                ),
            ),
        ),
        Step(
            id="pool-ready",
            title="See that all parts are ready",
            purpose="Asks the dashboard itself: the pool, its journal, the database.",
            commands="curl -fsS --retry 60 --retry-delay 1 --retry-all-errors http://127.0.0.1:{port}/readyz",
            done="curl -fs -o /dev/null http://127.0.0.1:{port}/readyz",
            see='`"ready": true`',
            wrong=(("`503`", "the answer names the part that is not ready, and why"),),
        ),
        Step(
            id="pool-operator",
            title="Let an operator in",
            purpose="Reading is open; submitting jobs needs a login. The link works once, within a day; `pairscope "
            "token create` makes more.",
            commands="pairscope token create operator --once --days 1 --site {site}\ntouch /var/lib/pairscope/operator",
            done="[ -e /var/lib/pairscope/operator ]",
            see="a link. Open it in a browser and drop a file on the overview",
            wrong=(
                ("`This token is not an operator's`", "it was used, or is older than a day: the command makes another"),
                (
                    "a page that does not load",
                    (
                        "the browser is on another machine: open the link with this machine's name or address in "
                        "the place of localhost"
                    ),
                ),
            ),
        ),
    ),
)
