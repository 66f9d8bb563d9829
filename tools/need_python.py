"""Tells in one sentence why this Python cannot make the environment. Refuses nothing that can; runs on any Python 3."""

import sys

if sys.version_info < (3, 11):
    found = ".".join(map(str, sys.version_info[:3]))
    sys.exit("osaurus-nb needs Python 3.11 or newer, and this is %s. Name another: make PYTHON=python3.12" % found)

try:
    import ensurepip  # noqa: F401
    import venv  # noqa: F401
except ImportError:
    sys.exit("This Python cannot make environments (no venv or ensurepip). Debian, Ubuntu: apt-get install python3-venv")
