"""What `import osaurus_nb` costs, beside bare Python and `import openai`, each in fresh interpreters that take turns.

    python benchmarks/imports.py [--quick]

CPU and wall are those of the import statement alone; memory is the peak of the whole interpreter. The second row of
ours is the first use: `Client` brings in what asks over HTTP.
"""

from __future__ import annotations

import json
import subprocess
import sys

from _measure import alternate, arguments, medians, table, verdict

STATEMENTS = {
    "python alone": "pass",
    "import osaurus_nb": "import osaurus_nb",
    "... and its Client": "from osaurus_nb import Client",
    "import openai": "import openai",
}
HEAVY = ("httpx", "httpx2", "pydantic", "mlx", "IPython", "ipywidgets", "sqlcipher3")
SECONDS, MEGABYTES, SHARE = 0.15, 45.0, 0.3

PROBE = """
import json, sys, time
cpu, wall = time.process_time(), time.perf_counter()
{statement}
cpu, wall = time.process_time() - cpu, time.perf_counter() - wall

def peak():
    try:  # ru_maxrss would count what our parent had before it became us
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
    except OSError:
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)

print(json.dumps([cpu * 1e3, wall * 1e3, peak(), sorted(sys.modules)]))
"""


def probe(statement: str) -> tuple[list[float], list[str]]:
    """CPU ms, wall ms and peak MB of one interpreter, and the modules that it had loaded."""
    command = [sys.executable, "-c", PROBE.format(statement=statement)]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    *figures, modules = json.loads(answer.stdout)
    return figures, modules


def main() -> None:
    given = arguments(__doc__, rounds=15, quick=3)
    rivals = {name: lambda statement=statement: probe(statement) for name, statement in STATEMENTS.items()}
    taken = alternate(rivals, given.rounds)
    rows = {name: medians(figures for figures, _ in runs) for name, runs in taken.items()}
    table("Import, fresh interpreters in turns", ["CPU ms", "wall ms", "peak MB"], rows)
    cpu, wall, peak = rows["import osaurus_nb"]
    verdict("import osaurus_nb, wall", wall / 1e3, SECONDS, unit=" s")
    verdict("import osaurus_nb, memory", peak, MEGABYTES, unit=" MB")
    verdict("CPU over that of import openai", cpu / rows["import openai"][0], SHARE)
    loaded = set(taken["import osaurus_nb"][0][1]).intersection(HEAVY)
    verdict(f"heavy libraries loaded ({', '.join(sorted(loaded)) or 'none'})", len(loaded), 0)


if __name__ == "__main__":
    main()
