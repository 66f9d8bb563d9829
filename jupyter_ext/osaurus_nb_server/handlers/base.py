"""The door of every path of ours: who may come in, how much they may bring, and the shape of every refusal.

Nothing is read of a body before its sender is known. Logs name paths and statuses, never keys or bodies.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import re
import traceback
import uuid
from collections.abc import Mapping
from functools import cached_property
from types import TracebackType
from typing import Any, ClassVar
from urllib.parse import urlsplit

from jupyter_server._tz import utcnow
from jupyter_server.auth import IdentityProvider, User
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.call_context import CallContext
from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import origin_matches_pat
from tornado.web import HTTPError, stream_request_body

from osaurus_nb.errors import AccessDenied, BodyTooLarge, Forbidden, OsaurusError, Unsupported
from osaurus_nb.gateway.keys import IssuedKey, Scope, is_access_key
from osaurus_nb_server.dialect import Codec, Dialect
from osaurus_nb_server.dialects import spoken
from osaurus_nb_server.handlers import faults
from osaurus_nb_server.service import Service

log = logging.getLogger("osaurus_nb")

_CREDENTIAL = re.compile(r"(?:bearer|token)\s+(\S+)\s*", re.IGNORECASE)
_HEADER_NAMES = re.compile(r"[A-Za-z0-9,\s_-]{1,1024}")
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
#: Ours, and those in which the SDKs of OpenAI and Anthropic look for it.
_REQUEST_ID = ("X-Osaurus-Request-Id", "X-Request-Id", "Request-Id")
_ROUTE = ("X-Osaurus-Provider", "X-Osaurus-Model", "X-Osaurus-Upstream-Model", "X-Osaurus-Warnings")
_COST = ("X-Osaurus-Cost", "X-Osaurus-Cost-Source")
_CHOICE = tuple(
    f"X-Osaurus-{name}"
    for name in ("Route-Mode", "Profile", "Intent", "Complexity", "Attempts", "Fallback", "Sticky", "Endpoint-Class")
)
_EXPOSED = ", ".join((*_REQUEST_ID, *_ROUTE, *_CHOICE, *_COST, "Retry-After"))


@stream_request_body
class ApiHandler(APIHandler):
    """Knows its caller and its dialect before a byte of the body is read."""

    auth_resource = "osaurus"
    #: What a key must open for this path; None lets anybody in.
    scope: ClassVar[Scope | None] = "models"

    def initialize(self, service: Service, dialect: Dialect | None = None) -> None:
        self.service = service
        self.dialect = (dialect or spoken(self.request.headers)).at(self.request.query_arguments)
        self.codec: Codec
        self.key: IssuedKey | None = None
        self.body = bytearray()
        self._accepts_body = False

    @cached_property
    def request_id(self) -> str:
        """Under this id the caller is answered, whatever comes of it."""
        return uuid.uuid4().hex

    # The walk of a request: prepare, data_received, then the method of the path.

    async def prepare(self) -> None:  # type: ignore[override]  # the base allows an awaitable of an awaitable
        self._without_delay()
        self._check_addresses()
        if self.request.method != "OPTIONS":
            self.codec = await self.service.codec(self.dialect)
            await self._identify()
            self.settings["osaurus_last_activity"] = utcnow()
            self._check_body()
        self._accepts_body = True

    def data_received(self, chunk: bytes) -> None:
        self.body += chunk
        if len(self.body) > self.service.max_body and not self._finished:
            self.body.clear()
            self._accepts_body = False
            error = self._too_large()
            self.send_error(413, exc_info=(type(error), error, None))

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Every error in the caller's dialect, also those that tornado and Jupyter raise."""
        exc_info = kwargs.get("exc_info")
        error = faults.from_exception(status_code, exc_info[1] if exc_info else None)
        codec = self.dialect.codec()
        self.set_status(codec.status(error))
        for name, value in faults.headers(error):
            self.set_header(name, value)
        if not self._accepts_body:  # tornado closes rather than read the rest: the client must not ask here again
            self.set_header("Connection", "close")
        self.finish(json.dumps(self.dialect.fault(codec, error, self.request_id)))

    @allow_unauthenticated
    def options(self, *_: str) -> None:
        """A browser's preflight: the origin was checked, the headers it asks for are its SDK's own."""
        self.set_header("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
        wanted = self.request.headers.get("Access-Control-Request-Headers", "")
        if _HEADER_NAMES.fullmatch(wanted):
            self.set_header("Access-Control-Allow-Headers", wanted)
        self.set_header("Access-Control-Max-Age", "600")
        self.set_status(204)

    # Who is it?

    @property
    def owner(self) -> str:
        """Whose it is what is kept of this request: of this key alone, or of this user.

        Jupyter's own logins are no users: whoever has the one token gets a new name at every request.
        """
        if self.key is not None:
            return f"key:{self.key.id}"
        if type(self.identity_provider).get_user is IdentityProvider.get_user:
            return "login"
        return f"user:{self.current_user.username}"

    async def _identify(self) -> None:
        """A key of ours, else a user of this Jupyter server, else the end."""
        in_address = self.get_query_argument("token", None) or self.get_query_argument("key", None)
        credential = _credential(self.request.headers) or in_address
        self.key = self.service.keys.match(credential)
        if credential is not None and is_access_key(credential):
            self.key = await self._access_key(credential)
        if self.key is None:
            await self._identify_user(credential)
        elif self.scope is not None and not self.key.opens(self.scope):
            raise Forbidden(f"This key does not open '{self.scope}'.")
        else:
            self.current_user = self._jupyter_current_user = _user(self.key)

    async def _access_key(self, credential: str) -> IssuedKey:
        """A key that the identity here issued, or the end: it opens nothing of Jupyter's."""
        self._throttle()
        try:
            return await asyncio.to_thread(lambda: self.service.access().match(credential))
        except AccessDenied:
            self.service.throttle.failed(self.request.remote_ip or "")
            raise

    def _throttle(self) -> None:
        if wait := self.service.throttle.wait(self.request.remote_ip or ""):
            raise faults.TooManyFailures("Too many wrong keys came from this address.", retry_after=wait)

    async def _identify_user(self, credential: str | None) -> None:
        if credential is not None:
            self._throttle()
        user = await self._jupyter_user(credential)
        if user is None:
            if credential is not None:
                self.service.throttle.failed(self.request.remote_ip or "")
                raise AccessDenied("This key opens nothing here. `%osaurus endpoint` in a notebook shows a valid one.")
            if self.scope is not None:
                raise AccessDenied("No key came with this request. Send it as 'Authorization: Bearer <key>'.")
        elif self.request.method not in _SAFE_METHODS:
            self.check_xsrf_cookie()

    async def _jupyter_user(self, credential: str | None) -> User | None:
        CallContext.set(CallContext.JUPYTER_HANDLER, self)  # identity providers may look for it
        if credential is not None:  # they read one header only
            self.request.headers["Authorization"] = f"Bearer {credential}"
        found = self.identity_provider.get_user(self)
        user = await found if inspect.isawaitable(found) else found
        self.current_user = self._jupyter_current_user = user
        if user is not None and not await self._is_authorized(user):
            raise Forbidden("This Jupyter user may not use the models of this server.")
        return user

    async def _is_authorized(self, user: User) -> bool:
        action = "read" if self.request.method in _SAFE_METHODS else "execute"
        allowed = self.authorizer.is_authorized(self, user, action, self.auth_resource)
        return bool(await allowed if inspect.isawaitable(allowed) else allowed)

    # From where, and with what?

    def _check_addresses(self) -> None:
        """A page on another site must reach us neither by its own name for us nor from its origin."""
        if not self.check_host():
            raise Forbidden("This Host is not a name of this server.")
        if not self.check_origin():
            raise Forbidden("This Origin is not allowed here; `ServerApp.allow_origin` can allow it.")

    def check_origin(self, origin_to_satisfy_tornado: str = "") -> bool:
        """No Origin, our own, or one that the server's owner allowed. A key does not change that."""
        origin = self.request.headers.get("Origin")
        return (
            origin is None or urlsplit(origin.lower()).netloc == self.request.host.lower() or self._is_allowed(origin)
        )

    def _is_allowed(self, origin: str) -> bool:
        if self.allow_origin:
            return self.allow_origin in ("*", origin)
        return bool(self.allow_origin_pat and origin_matches_pat(self.allow_origin_pat, origin))

    def set_default_headers(self) -> None:
        for name in _REQUEST_ID:
            self.set_header(name, self.request_id)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        for name, value in self.settings.get("headers", {}).items():
            self.set_header(name, value)
        origin = self.request.headers.get("Origin")
        if origin is not None and self._is_allowed(origin):
            self.set_header("Access-Control-Allow-Origin", origin)
            self.set_header("Access-Control-Expose-Headers", _EXPOSED)
            self.set_header("Vary", "Origin")

    def _check_body(self) -> None:
        headers = self.request.headers
        length = headers.get("Content-Length", "")
        if length.isdigit() and int(length) > self.service.max_body:
            raise self._too_large()
        # A form of some page may ride on a login of Jupyter's, but it knows no key of ours; plain `curl -d` does.
        if self.request.method == "POST" and self.key is None and _media_type(headers) != "application/json":
            raise faults.WrongMediaType("The body must be JSON: send 'Content-Type: application/json'.")

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(f"The body is larger than {self.service.max_body} bytes.")

    # What is kept from the server around us.

    def _without_delay(self) -> None:
        """Nagle would hold each small chunk back until the last one is acknowledged: 40 ms a token."""
        stream = getattr(self.request.connection, "stream", None)
        if stream is not None and not stream.closed():
            stream.set_nodelay(True)

    def without_compression(self) -> None:
        """A stream is not packed, whatever the server's settings say: packing waits for more to pack."""
        self._transforms = []

    def _log(self) -> None:
        """Only refusals and faults make a line; successes are counted."""
        if self.get_status() >= 400:
            super()._log()

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Faults of ours alone are logged: where they happened and their kind, for their text may hold a prompt."""
        if typ is not None and not isinstance(value, OsaurusError | HTTPError):
            where = "".join(traceback.format_tb(tb))
            log.error("%s %s failed with %s\n%s", self.request.method, self.request.path, typ.__name__, where)

    def update_api_activity(self) -> None:
        self.settings["osaurus_last_activity"] = utcnow()


class RootHandler(ApiHandler):
    """`/osaurus`: is somebody there? Some command-line tools ask first, Ollama's for these very words."""

    scope = None

    @allow_unauthenticated
    def head(self) -> None:
        self.set_status(200)

    @allow_unauthenticated
    def get(self) -> None:
        self.finish("Ollama is running", set_content_type="text/plain")


class NotFoundHandler(ApiHandler):
    """What no other path of ours takes: an error that a program can read."""

    def _check_body(self) -> None:
        raise faults.NoSuchPath(f"There is nothing at {self.request.path}.")


class RefusedHandler(ApiHandler):
    """What others serve and we do not: says what to do instead."""

    def initialize(self, service: Service, dialect: Dialect, instead: str) -> None:  # type: ignore[override]
        super().initialize(service, dialect)
        self._instead = instead

    def _check_body(self) -> None:
        raise Unsupported(self._instead)


def _credential(headers: Mapping[str, str]) -> str | None:
    """The key in whichever style it came. The headers of one vendor win over the one that all share."""
    for name in ("X-Api-Key", "X-Goog-Api-Key"):
        if name in headers:
            return headers[name].strip()
    match = _CREDENTIAL.fullmatch(headers.get("Authorization", "").strip())
    return match[1] if match else None


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _user(key: IssuedKey) -> User:
    return User(f"osaurus:{key.id}", display_name=key.label)
