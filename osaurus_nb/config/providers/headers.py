"""Rules for the headers that a user may add: none that break a request apart, none with a secret in the clear. Pure."""

from __future__ import annotations

import re

from osaurus_nb._redaction import redact
from osaurus_nb.errors import ConfigError

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: They say where a message goes and where it ends, which is the connection's affair alone.
_FORBIDDEN = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
)
_SECRET_NAMES = frozenset({"authorization", "proxy-authorization", "cookie", "x-wallet-signature"})
_SECRET_WORDS = re.compile(r"api[-_]?key|token|secret|password|passwd")


def checked_name(name: str) -> str:
    """The name of a header. Raises ConfigError for one that must not be set."""
    name = name.strip() if isinstance(name, str) else ""
    if not _NAME.fullmatch(name):
        raise ConfigError("A header's name is made of ASCII letters, digits and dashes, e.g. X-Team.")
    if name.lower() in _FORBIDDEN:
        raise ConfigError(f"The header '{name}' belongs to the connection and cannot be set.")
    return name


def checked_value(name: str, value: str) -> str:
    """The value of a header. Raises ConfigError, without repeating it, for one that could end the header early."""
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise ConfigError(f"The value of the header '{name}' must be one line of printable ASCII.")
    return value.strip()


def is_secret(name: str) -> bool:
    """Does a header of this name carry a secret?"""
    return name.lower() in _SECRET_NAMES or _SECRET_WORDS.search(name.lower()) is not None


def looks_like_key(text: str) -> bool:
    """Is this a vendor's key, as far as one can see? Names of variables and machines begin like some, but are tamer."""
    tame = len(text) < 20 or (text.isupper() and not text.startswith("AKIA"))
    return not tame and redact(text) != text


def checked_clear(name: str, value: str) -> tuple[str, str]:
    """A header that is stored as it is. Raises ConfigError for a secret."""
    name = checked_name(name)
    value = checked_value(name, value)
    if is_secret(name) or looks_like_key(value):
        raise ConfigError(
            f"The header '{name}' looks like a secret, and the providers' file is clear text. Put its value into an "
            f"environment variable and name that: --secret-header {name}=VARIABLE."
        )
    return name, value


def checked_variable(name: str) -> str:
    """The name of an environment variable. Raises ConfigError, without repeating it, for what may be the key itself."""
    if not isinstance(name, str) or not _VARIABLE.fullmatch(name) or looks_like_key(name):
        raise ConfigError(
            "Give the NAME of the environment variable that holds the key, e.g. OPENAI_API_KEY, not the key. "
            "If you wrote a real key there, replace it at its provider: a command line is kept in histories."
        )
    return name
