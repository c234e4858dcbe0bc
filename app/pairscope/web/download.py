"""A download: a job's output, streamed from the descriptor that the supervisor hands over."""

from __future__ import annotations

import os

from flask import Response, request
from werkzeug.utils import send_file
from werkzeug.wrappers import Response as BaseResponse
from werkzeug.wsgi import FileWrapper

from pairscope.client.away import PoolRefused
from pairscope.web import reach, unknown

BLOCK = 64 * 1024


def output(job: int, inline: tuple[str, ...] = ()) -> BaseResponse:
    """The answer with the output, or the part of it that a Range asks for. `inline`: media types that a page shows.

    Raises Problem for what this node's pool does not keep, what :meth:`pairscope.client.client.Client.fetch` does, and
    RequestedRangeNotSatisfiable.
    """
    try:
        found, fd = reach.client().fetch(job)
    except PoolRefused as refused:
        raise unknown.output(job, refused) from None
    try:
        file = os.fdopen(fd, "rb", buffering=0)
    except BaseException:
        os.close(fd)
        raise
    shown = found.media in inline
    try:
        # Without the server's own file wrapper, which closes the file or does not as the server likes.
        environ = {name: value for name, value in request.environ.items() if name != "wsgi.file_wrapper"}
        response = send_file(
            file,
            environ,
            mimetype=found.media or "application/octet-stream",
            as_attachment=not shown,
            download_name=found.name,
            conditional=False,
            etag=False,
            response_class=Response,
        )
        # What is passed through must close the file itself: nobody calls what was registered with call_on_close.
        response.response = FileWrapper(file, BLOCK)
        response.content_length = found.size
        response.make_conditional(request.environ, accept_ranges=True, complete_length=found.size)
        response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
        # A picture that needs a login is not shown again after a logout.
        keeps = shown and reach.settings().public_outputs
        response.headers["Cache-Control"] = "private, max-age=600" if keeps else "no-store"
        return response
    except BaseException:
        file.close()
        raise
