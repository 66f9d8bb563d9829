"""What the doctor found, as text that may be pasted into a public issue. Names no host of one's own, holds no key."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

from osaurus_nb._redaction import redact
from osaurus_nb.config.endpoints import endpoint_class
from osaurus_nb.config.providers import Provider, presets
from osaurus_nb.providers.doctor import Examination

#: Longer parts of a path may be ids of accounts, or keys.
_LONG_PART = re.compile(r"(?<=/)[^/\s·]{16,}")


def report(examinations: Sequence[Examination], *, at: datetime | None = None) -> str:
    """Plain text: where it ran, then each provider with its steps, their verdicts and times."""
    moment = (at or datetime.now(UTC)).strftime("%Y-%m-%d %H:%M UTC")
    here = f"osaurus-nb {version('osaurus-nb')} · Python {platform.python_version()} · {platform.system()}"
    lines = [f"{here} {platform.machine()} · {moment}"]
    for number, found in enumerate(examinations, start=1):
        text = "\n".join([f"{found.provider} · {_LONG_PART.sub('…', found.about)}", *_steps(found)])
        lines += ["", _without_own(text, found, number)]
    return redact("\n".join(lines))


def _steps(found: Examination) -> Iterable[str]:
    for check in found.checks:
        took = f"{check.seconds * 1000:6.0f} ms" if check.seconds is not None else " " * 9
        yield f"  {check.verdict:<7} {check.step:<10} {took}  {check.told}"


def _without_own(text: str, found: Examination, number: int) -> str:
    """A name that somebody gave, and a host that is nobody else's business, become numbers."""
    settings = found.settings
    if settings is None:
        return text
    if _own(settings):
        text = text.replace(settings.host, f"<host {number}>")
    for word in {settings.slug, settings.name, settings.key_env or ""} - {""}:
        if presets.find(word) is None:
            text = re.sub(rf"(?<![\w<]){re.escape(word)}(?![\w>])", f"<provider {number}>", text)
    return text


def _own(settings: Provider) -> bool:
    return endpoint_class(settings.host) != "loopback" and presets.vendor_of(settings.host) is None
