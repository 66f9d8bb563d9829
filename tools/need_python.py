"""Tells in one sentence why this Python cannot make the environment. Old Pythons can read it too."""

# ruff: noqa: UP031, UP036

import sys

if sys.version_info < (3, 11):
    found = ".".join(map(str, sys.version_info[:3]))
    sys.exit("osaurus-nb needs Python 3.11 or newer, and this is %s. Name another: make PYTHON=python3.12" % found)

try:
    import ensurepip  # noqa: F401
    import venv  # noqa: F401
except ImportError:
    sys.exit("This Python lacks venv or ensurepip. On Debian and Ubuntu: apt-get install python3-venv")
