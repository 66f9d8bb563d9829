"""What can go wrong at the HTTP border, and which headers an error carries. Values only."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from http import HTTPStatus

from tornado.web import HTTPError

from osaurus_nb import errors
from osaurus_nb_server.admission import Crowded


class NoSuchPath(errors.RequestError):
    status, code = HTTPStatus.NOT_FOUND, "not_found"


class WrongMethod(errors.RequestError):
    status, code = HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed"


class WrongMediaType(errors.RequestError):
    status, code = HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type"


class TooManyFailures(errors.AccessDenied):
    status, code, kind = HTTPStatus.TOO_MANY_REQUESTS, "rate_limit_exceeded", "rate_limit_error"


class Stopping(errors.OsaurusError):
    status, code = HTTPStatus.SERVICE_UNAVAILABLE, "stopping"


class Internal(errors.OsaurusError):
    """A fault of ours; what it was stays in the log."""


#: The server's own errors as ours, by status: what to say when tornado or Jupyter refuses.
_BY_STATUS: Mapping[int, tuple[type[errors.OsaurusError], str]] = {
    401: (errors.AccessDenied, "No valid key came with this request."),
    403: (errors.Forbidden, "This is not allowed. A browser session needs its XSRF token; a program needs a key."),
    404: (NoSuchPath, "There is nothing at this path."),
    405: (WrongMethod, "This path does not answer to this method."),
    413: (errors.BodyTooLarge, "The body is too large."),
}

#: Faults that the same request may not meet a second time, if it waits for as long as it is told.
_PASSING = (errors.RateLimited, errors.Unavailable, Crowded)


def from_exception(status: int, exception: BaseException | None) -> errors.OsaurusError:
    """The error of ours that this exception, or a bare status, is shown as."""
    if isinstance(exception, errors.OsaurusError):
        return exception
    if isinstance(exception, HTTPError):
        status = exception.status_code
    if status in _BY_STATUS:
        kind, message = _BY_STATUS[status]
        return kind(message)
    if 400 <= status < 500:
        return errors.RequestError("The request is malformed.")
    return Internal("Something failed in the server. Its log says what.")


def headers(error: errors.OsaurusError) -> Iterator[tuple[str, str]]:
    """What an error's response says beside its body.

    SDKs repeat a 5xx unless they are told not to, and each of their repeats would be repeated by us. They come back
    only where it is known when that helps.
    """
    known = isinstance(error, _PASSING) and error.retry_after is not None
    if not (known or isinstance(error, Stopping)):
        yield "x-should-retry", "false"
    if error.retry_after is not None:
        yield "Retry-After", str(math.ceil(error.retry_after))
        yield "retry-after-ms", str(math.ceil(error.retry_after * 1000))
    if error.status == HTTPStatus.UNAUTHORIZED:
        yield "WWW-Authenticate", 'Bearer realm="osaurus"'
