"""The file of what is known of identities here: counters, agents, issued and revoked keys. Holds no secret.

Every process reads it again when it was replaced, so that a revocation takes effect on the next request everywhere.
A file that cannot be read opens nothing.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from osaurus_nb.config.files import locked
from osaurus_nb.config.paths import write_private
from osaurus_nb.errors import ConfigError
from osaurus_nb.identity.addresses import is_address

_Stamp: TypeAlias = tuple[int, int, int]
_NONE: _Stamp = (0, 0, 0)
#: Nanoseconds to move a file's time on until it differs: some file systems count in seconds.
_NUDGES = (1_000, 2_000_000_000)


class StateUnreadable(ConfigError):
    """The file cannot be read, or was written by a later version."""

    code = "identity_state_unreadable"


def _small(address: str) -> str:
    if not is_address(address):
        raise ValueError("not an address")
    return address.lower()


Address = Annotated[str, AfterValidator(_small)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)  # what a later version adds is kept


class AgentRow(_Model):
    index: int
    address: Address
    label: str = ""


class IssuedRow(_Model):
    """A payload's fields, under their names there. The key itself is nowhere."""

    iss: str
    aud: str
    cnt: int
    nonce: str
    iat: int
    exp: int | None = None
    lbl: str | None = None


class Records(_Model):
    """What is known of one identity. Keys with a counter up to `floor` are revoked if it or an agent issued them."""

    next_count: int = 1
    next_agent: int = 0
    floor: int = -1
    agents: list[AgentRow] = Field(default_factory=list)
    issued: list[IssuedRow] = Field(default_factory=list)
    revoked: list[str] = Field(default_factory=list)
    revoked_up_to: dict[Address, int] = Field(default_factory=dict)
    trusted: dict[Address, list[Address]] = Field(default_factory=dict)


class State(_Model):
    """The file. `active` is the identity that there is; records of others stay, so that what they revoked stays so."""

    version: Literal[1] = 1
    active: Address | None = None
    identities: dict[Address, Records] = Field(default_factory=dict)

    @property
    def records(self) -> Records | None:
        return self.identities.get(self.active) if self.active is not None else None


class StateFile:
    """Reads the file when it has changed, and changes it under a lock that all processes share."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read: tuple[_Stamp, State] = (_NONE, State())

    def read(self) -> State:
        """The state now; the same object until it changes, and not to be changed. Raises StateUnreadable."""
        stamp, state = self._read
        if _stamp(self.path) == stamp:
            return state
        self._read = stamp, state = self._load()
        return state

    @contextmanager
    def change(self) -> Iterator[State]:
        """A state to be changed, written when the block ends. Nobody else reads or writes one meanwhile.

        Raises ConfigError; then nothing has changed, except that a damaged file was put aside.
        """
        with ExitStack() as stack:
            with self._told():
                stack.enter_context(locked(self.path))
                before, state = self._load_or_put_aside()
            yield state
            with self._told():
                write_private(self.path, state.model_dump_json(indent=2).encode() + b"\n")
                _move_on(self.path, before)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            raise ConfigError(f"Cannot change {self.path}: {exc.strerror}. Nothing was changed.") from exc

    def _load(self) -> tuple[_Stamp, State]:
        try:
            with self.path.open("rb") as file:
                stamp, content = _of(os.fstat(file.fileno())), file.read()
        except FileNotFoundError:
            return _NONE, State()
        except OSError as exc:
            raise StateUnreadable(f"Cannot read {self.path}: {exc.strerror}.") from exc
        try:
            return stamp, State.model_validate_json(content)
        except ValidationError as exc:
            if any(error["loc"] == ("version",) for error in exc.errors(include_input=False)):
                raise StateUnreadable(f"{self.path} was written by a later version of osaurus-nb.") from None
            raise _Damaged(f"{self.path} is damaged. Until it is repaired, no access key opens anything.") from None

    def _load_or_put_aside(self) -> tuple[_Stamp, State]:
        """A damaged file goes to a new name, so that nothing overwrites it. What it revoked is not forgotten: an
        identity that is opened without a file has everything revoked that was issued before."""
        try:
            return self._load()
        except _Damaged:
            aside = self.path.with_name(f"{self.path.name}.corrupt-{time.strftime('%Y%m%dT%H%M%S')}")
            self.path.rename(aside)
            raise ConfigError(
                f"{self.path} could not be read. It was kept as {aside.name}. Open the identity again; the access keys"
                " that were issued before are revoked by this."
            ) from None


class _Damaged(StateUnreadable):
    """It is not what we write."""


def _stamp(path: Path) -> _Stamp:
    try:
        return _of(path.stat())
    except FileNotFoundError:
        return _NONE
    except OSError as exc:
        raise StateUnreadable(f"Cannot read {path}: {exc.strerror}.") from exc


def _of(status: os.stat_result) -> _Stamp:
    return status.st_mtime_ns, status.st_ino, status.st_size


def _move_on(path: Path, before: _Stamp) -> None:
    """Make the file's time later than it ever was: two changes within a tick of the clock would look like one."""
    for nudge in _NUDGES:
        if _stamp(path)[0] > before[0]:
            return
        os.utime(path, ns=(before[0] + nudge,) * 2)
