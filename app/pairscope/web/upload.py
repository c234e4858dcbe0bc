"""An upload becomes a descriptor: a sealed memfd, or an unlinked file reopened read-only. memfd_create(2), open(2)
O_TMPFILE.

Werkzeug writes each file part into what :meth:`Request._get_file_stream` returns. That is a :class:`Landing`: it begins
as a memfd and moves into a file under ``state/spool`` when it outgrows ``memfd_max``, so neither needs the part's size
beforehand. Whatever was landed is closed when the request is, on every path.
"""

from __future__ import annotations

import contextlib
import errno
import io
import ipaddress
import os
import re
import tempfile
import unicodedata
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

import flask
from flask import current_app
from flask_babel import gettext as _
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, ServiceUnavailable

from pairscope.config import KIB, Settings
from pairscope.ipc import memfd
from pairscope.web.problems import Problem
from pairscope.web.words import size as in_words

FORM_MAX = 64 * KIB
"""Bytes of a body that carries no upload."""
FIELD_MAX = 128 * KIB
"""Bytes of one field beside a file. Not 64 KiB: Werkzeug bounds by it what it reads at a time, too, and reads 64
KiB."""

View = TypeVar("View", bound=Callable[..., Any])


class Upload(NamedTuple):
    """One received file. The descriptor belongs to the `with` block that received it."""

    fd: int
    name: str
    """As the visitor gave it, without control characters, at most 255 characters."""
    size: int
    """Bytes."""


def takes_upload(view: View) -> View:
    """Marks a view whose body may be as large as ``upload_max``; every other body is bounded by FORM_MAX."""
    view.takes_upload = True  # type: ignore[attr-defined]
    return view


class Landing(io.RawIOBase):
    """Where one file part lands. Owns its descriptor until it is closed."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.fd = -1
        self._settings = settings
        self.fd = memfd.empty("upload")
        self.size = 0
        self.in_memory = True

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        length = len(data)
        if self.size + length > self._settings.upload_max:
            raise too_large(self._settings)
        try:
            if self.in_memory and self.size + length > self._settings.memfd_max:
                self._to_file()
            memfd.write_all(self.fd, data)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM, errno.EMFILE, errno.ENFILE):
                raise ServiceUnavailable(
                    _(
                        "There is no room for this upload now (%(reason)s). Nothing was kept; the pool is unaffected.",
                        reason=error.strerror,
                    )
                ) from None
            raise
        self.size += length
        return length

    def readinto(self, buffer: Any) -> int:
        return os.readv(self.fd, [buffer])

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return os.lseek(self.fd, offset, whence)

    def tell(self) -> int:
        return os.lseek(self.fd, 0, os.SEEK_CUR)

    def _to_file(self) -> None:
        os.makedirs(self._settings.spool, mode=0o700, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._settings.spool, buffering=0) as spooled:  # O_TMPFILE where there is one
            moved = 0
            while moved < self.size:
                moved += os.sendfile(spooled.fileno(), self.fd, moved, self.size - moved)
            fd = os.dup(spooled.fileno())
        os.close(self.fd)
        self.fd, self.in_memory = fd, False

    def finish(self) -> None:
        """Makes the contents unchangeable for whoever gets the descriptor: sealed, or open for reading only."""
        if self.in_memory:
            memfd.seal(self.fd)
            os.lseek(self.fd, 0, os.SEEK_SET)
        else:
            fd = memfd.read_only(self.fd)
            os.close(self.fd)
            self.fd = fd

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        super().close()


def plain_host(name: str) -> str:
    """A host's name, with its port, as it is compared: in small letters, without the dot that says that it is whole.
    RFC 3986, 3.2.2; RFC 1034, 3.1."""
    return re.sub(r"(?<=[^.])\.(?=(:[0-9]*)?$)", "", name.lower())


class Request(flask.Request):
    """A request whose file parts land in descriptors, whose bound depends on the view, and whose form is read or
    refused in words."""

    _landings: list[Landing] | None = None
    _trusted_hosts: list[str] | None = None

    def __init__(self, environ: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        if "HTTP_HOST" in environ:
            environ["HTTP_HOST"] = plain_host(environ["HTTP_HOST"])
        super().__init__(environ, *args, **kwargs)

    @property
    def trusted_hosts(self) -> list[str] | None:
        """Werkzeug cuts a trusted name at its first colon, so that [::1] would never be matched: IPv6 addresses are
        compared here."""
        asked = _address_in(self.headers.get("Host", ""))
        if asked is not None and any(_address_in(name) == asked for name in self._trusted_hosts or ()):
            return None
        return self._trusted_hosts

    @trusted_hosts.setter
    def trusted_hosts(self, value: list[str] | None) -> None:
        self._trusted_hosts = value

    @property
    def carries_upload(self) -> bool:
        """True: a file may come with it, so that its body may be large. Whatever else a form is made of is kept in
        memory."""
        view = current_app.view_functions.get(self.endpoint or "") if current_app else None
        return getattr(view, "takes_upload", False) and self.mimetype == "multipart/form-data"

    @property
    def max_content_length(self) -> int | None:
        if not current_app or self._max_content_length is not None:
            return super().max_content_length
        if self.carries_upload:
            return _settings().upload_max + FORM_MAX
        return getattr(current_app.view_functions.get(self.endpoint or ""), "body_max", FORM_MAX)

    @max_content_length.setter
    def max_content_length(self, value: int | None) -> None:
        self._max_content_length = value

    def _load_form_data(self) -> None:
        try:
            super()._load_form_data()
        except RequestEntityTooLarge as error:
            if error.description != RequestEntityTooLarge.description or not self.carries_upload:
                raise
            if (self.content_length or 0) > (self.max_content_length or 0):
                raise too_large(_settings()) from None
            raise RequestEntityTooLarge(
                _(
                    "The form has a field of more than %(bound)s, or more than %(parts)s fields. Nothing was "
                    "kept; the pool is unaffected.",
                    bound=in_words(FIELD_MAX),
                    parts=self.max_form_parts,
                )
            ) from None
        except ValueError:
            raise BadRequest(
                _(
                    "The body is no %(media)s that can be read: it is cut off, or its parts are not divided by "
                    "the boundary that its "
                    "Content-Type names. Nothing was kept; send it again, whole.",
                    media=self.mimetype,
                )
            ) from None

    def make_form_data_parser(self) -> Any:
        """Without Werkzeug's silence, in which a broken form is an empty one."""
        parser = super().make_form_data_parser()
        parser.silent = False
        return parser

    def _get_file_stream(
        self, total_content_length: Any, content_type: Any, filename: Any = None, content_length: Any = None
    ) -> Any:
        landing = Landing(_settings())
        self._landings = [*(self._landings or ()), landing]
        return landing

    def close(self) -> None:
        super().close()
        for landing in self._landings or ():
            landing.close()
        self._landings = None


@contextlib.contextmanager
def receive(request: flask.Request, field: str = "file") -> Iterator[Upload | None]:
    """The uploaded file as a descriptor for the length of the `with` block; None if the request carries none.

    Raises Problem (400) for an empty file, BadRequest for several, RequestEntityTooLarge (413) beyond ``upload_max``,
    ServiceUnavailable when there is no room. Who sends the descriptor on keeps it open until then: passing duplicates
    it.
    """
    parts = request.files.getlist(field)
    if len(parts) > 1:
        raise BadRequest(_("%(count)s files came, and a job works on one. Send each by itself.", count=len(parts)))
    part = parts[0] if parts else None
    if part is None or not (part.filename or (isinstance(part.stream, Landing) and part.stream.size)):
        yield None
        return
    landing = part.stream
    assert isinstance(landing, Landing)
    if not landing.size:
        raise Problem("empty-input", _("There is nothing to work on. Choose a file with at least one byte."))
    try:
        landing.finish()
        yield Upload(landing.fd, plain_name(part.filename or ""), landing.size)
    finally:
        landing.close()


def plain_name(name: str) -> str:
    """The last part of a visitor's file name without control characters and lone surrogates, at most 255 characters."""
    name = name.replace("\\", "/").rsplit("/", 1)[-1]
    return "".join(letter for letter in name if unicodedata.category(letter) not in ("Cc", "Cs"))[:255] or "upload"


def too_large(settings: Settings) -> RequestEntityTooLarge:
    """413 with the bound in words."""
    return RequestEntityTooLarge(
        _(
            "The upload exceeds the bound of %(bound)s. Nothing was kept; the pool is unaffected.",
            bound=in_words(settings.upload_max),
        )
    )


def _address_in(host: str) -> ipaddress.IPv6Address | None:
    """The IPv6 address of a Host header or of a trusted name, in brackets; None: it is something else."""
    found = re.fullmatch(r"\[([0-9a-fA-F:.]+)\](:[0-9]*)?", host)
    try:
        return ipaddress.IPv6Address(found[1]) if found else None
    except ValueError:
        return None


def _settings() -> Settings:
    return current_app.extensions["pairscope"].settings
