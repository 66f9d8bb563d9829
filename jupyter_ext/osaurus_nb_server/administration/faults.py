"""What may be wrong with a question to the administration, and how faults of settings are told to who asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

from osaurus_nb.errors import ConfigError, RequestError
from osaurus_nb.secrets import SecretsLocked
from osaurus_nb.spending import LedgerStatus


class NoSuchProvider(RequestError):
    status, code = HTTPStatus.NOT_FOUND, "provider_not_found"


class NoSuchKey(RequestError):
    status, code = HTTPStatus.NOT_FOUND, "key_not_found"


class NoSuchBudget(RequestError):
    status, code = HTTPStatus.NOT_FOUND, "budget_not_found"


class Conflict(RequestError):
    """What is asked does not go with how things stand."""

    status, code = HTTPStatus.CONFLICT, "conflict"


class Locked(RequestError):
    """The vault has to be unlocked first."""

    status, code = HTTPStatus.LOCKED, SecretsLocked.code


def kept(status: LedgerStatus) -> None:
    """Raises Conflict for a ledger that is in no file."""
    if status.path is None:
        raise Conflict(" ".join(status.notices) or "No ledger is kept here: what is spent is only in memory.")


@contextmanager
def unknown() -> Iterator[None]:
    """A setting that is wrong here is a provider that is not there."""
    try:
        yield
    except ConfigError as error:
        raise NoSuchProvider(error.message) from None


@contextmanager
def told(param: str | None = None) -> Iterator[None]:
    """A setting that is wrong is the caller's fault here, and names the field. A disk that takes nothing is ours."""
    try:
        yield
    except SecretsLocked as error:
        raise Locked(error.message, param=error.param) from None
    except ConfigError as error:
        if type(error) is not ConfigError or isinstance(error.__cause__, OSError):
            raise
        raise RequestError(error.message, param=error.param or param) from None
