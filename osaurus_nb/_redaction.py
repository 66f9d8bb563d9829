"""Takes keys out of text that somebody else wrote. Pure. It errs on the side of removing too much."""

from __future__ import annotations

import re
from collections.abc import Iterable

MASK = "[redacted]"

#: Shorter "secrets" would blank out ordinary words.
_MIN_SECRET = 4

_KEYS = re.compile(
    r"""
      (?:bearer|basic)\s+[^\s"',;]+                                   # Authorization values
    | \b(?:sk|pk|rk|xai|gsk|osk|hf|nvapi|pplx|key|AKIA|AIza|ghp)[-_]?   # vendors' prefixes,
      (?=[-\w*.]*[\d*])[-\w*.]{8,}                                    # also half masked: sk-ab**cd
    | \beyJ[-\w]+\.[-\w]+(?:\.[-\w]*)?                                # JSON web tokens
    | (?<=[?&])(?:api[-_]?key|key|token|access_token)=[^\s&"']+        # keys in an address
    | (?<=://)[^\s/@]+@                                               # user:password in an address
    """,
    re.VERBOSE | re.IGNORECASE,
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without `secrets` and without anything that looks like a key."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _MIN_SECRET:
            text = text.replace(secret, MASK)
    return _KEYS.sub(MASK, text)
