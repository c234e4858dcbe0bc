"""The newest state of this project whose boxes must be upgraded otherwise than by copying what is newer: the last one
whose package was imported as `app`, before it moved to app/pairscope/."""

from __future__ import annotations

from pathlib import Path

from script.guests.place import GuestError, run

MARK = "app/__main__.py"
"""A file that only those states have."""

NAMED = '(^|[ /=:"])app[.](pool|lab|lamp|work|recorder|web)|-m app( |$)'
"""As extended regular expressions have it: what names the package of then, in a file or a command."""


def commit(project: Path) -> str:
    """That state. Found by what it holds: hashes and subjects change when commits are copied. GuestError where this
    clone does not have it."""
    git = ("git", "-C", project)
    told = run(*git, "log", "-1", "--diff-filter=D", "--format=%P", "HEAD", "--", MARK, check=False)
    found = told.stdout.split()[0] if not told.returncode and told.stdout.strip() else ""
    if not found or run(*git, "cat-file", "-e", f"{found}:{MARK}", check=False).returncode:
        raise GuestError(
            f"{project} does not hold the last commit before the package moved to app/pairscope/, whose boxes are "
            "upgraded here: it is a shallow clone or none. git fetch --unshallow brings the whole history."
        )
    return found
