"""The key that signs sessions, and the name of their cookie."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from pairscope.config import Settings

COOKIE = "pairscope-"
"""How the name of a session's cookie begins."""


def secret_key(settings: Settings) -> bytes:
    """The key that signs sessions, made by whichever process comes first; readable for its owner alone."""
    path = settings.secret_key
    try:
        return _read_key(path)
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, secrets.token_bytes(32))
        os.fsync(fd)
        os.link(temporary, path)  # whole or not at all, and never over another's
    except FileExistsError:
        pass
    finally:
        os.close(fd)
        temporary.unlink()
    return _read_key(path)


def _read_key(path: Path) -> bytes:
    key = path.read_bytes()
    if len(key) < 32:
        raise ValueError(
            f"{path}: the secret key has {len(key)} bytes; expected 32. Remove the file: a new one is made, "
            "and everybody logs in again"
        )
    return key


def cookie_name(settings: Settings) -> str:
    """One for each installation: a browser sends a cookie to every port of a host."""
    return COOKIE + hashlib.sha256(str(settings.secret_key).encode()).hexdigest()[:8]
