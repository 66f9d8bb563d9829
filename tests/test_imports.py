"""What `import osaurus_nb` may cost."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {
    "IPython",
    "anywidget",
    "httpx",
    "httpx2",
    "ipywidgets",
    "jupyter_server",
    "keyring",
    "mlx",
    "mlx_lm",
    "numpy",
    "pydantic",
    "sqlcipher3",
    "tornado",
}

PROBE = """
import json, sys

sockets = []
sys.addaudithook(lambda event, args: sockets.append(event) if event.startswith("socket.") else None)

import osaurus_nb

print(json.dumps({"modules": sorted(sys.modules), "sockets": sockets}))
"""


def import_in_a_fresh_interpreter() -> dict[str, list[str]]:
    answer = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=60, check=True)
    report: dict[str, list[str]] = json.loads(answer.stdout)
    return report


def test_importing_the_sdk_loads_none_of_the_heavy_libraries():
    """The front door is light: what is behind a heavy door is loaded when it is first needed."""
    report = import_in_a_fresh_interpreter()

    assert "osaurus_nb" in report["modules"]
    assert HEAVY.isdisjoint(report["modules"])


def test_importing_the_sdk_touches_no_network():
    """Not one socket is made, looked up or connected by the import."""
    report = import_in_a_fresh_interpreter()

    assert report["sockets"] == []
