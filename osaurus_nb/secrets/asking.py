"""Asks whoever is there for a secret, without echo: in a terminal, or by a notebook's own prompt. Keeps nothing."""

from __future__ import annotations

import getpass
import sys
import warnings

from osaurus_nb.errors import ConfigError

_NOBODY = "Nobody can be asked here, where nothing can be typed without being shown."


def ask(prompt: str) -> str:
    """What was typed. A kernel has put its front end's prompt in the place of getpass. Raises ConfigError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)  # it would go on and show what is typed
            return getpass.getpass(prompt)
    except EOFError:
        raise ConfigError("Nothing was typed. Nothing was changed.") from None
    except (NotImplementedError, getpass.GetPassWarning):  # NotImplementedError: a kernel whose front end has no prompt
        raise ConfigError(_NOBODY) from None


def piped() -> str:
    """The next line that another program gives. Raises ConfigError at the end."""
    line = sys.stdin.readline()
    if not line:
        raise ConfigError(f"{_NOBODY} Give it through a pipe, or run this in a terminal.")
    return line.rstrip("\r\n")
