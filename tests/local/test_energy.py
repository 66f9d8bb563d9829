"""Energy is told where the kernel tells it, and never made up."""

from __future__ import annotations

from pathlib import Path

from osaurus_nb.local.energy import Energy


def zone(root: Path, number: str, name: str, microjoules: int, span: int = 1_000_000_000) -> Path:
    """One of Linux's counters, as its folder looks."""
    folder = root / f"intel-rapl:{number}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "max_energy_range_uj").write_text(f"{span}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    return folder


def test_energy_is_the_difference_of_two_readings(tmp_path: Path) -> None:
    """Packages and memory are summed: 2.5 and 0.5 joules are 3. What contains them or is in them is not counted."""
    zone(tmp_path, "0", "package-0", 7_000_000)
    zone(tmp_path, "0:0", "core", 1_000_000)
    zone(tmp_path, "0:1", "dram", 0)
    zone(tmp_path, "1", "psys", 9_000_000)
    energy = Energy(tmp_path)
    before = energy.joules()

    for number, name, now in (("0", "package-0", 9_500_000), ("0:0", "core", 3_000_000), ("0:1", "dram", 500_000)):
        zone(tmp_path, number, name, now)
    zone(tmp_path, "1", "psys", 20_000_000)

    assert before == 0
    assert energy.joules() == 3.0


def test_a_counter_that_went_round_is_no_fall(tmp_path: Path) -> None:
    """From 900 to 100 of 1000 are 200, each time."""
    zone(tmp_path, "0", "package-0", 900_000_000)
    energy = Energy(tmp_path)

    zone(tmp_path, "0", "package-0", 100_000_000)
    first = energy.joules()
    zone(tmp_path, "0", "package-0", 50_000_000)

    assert first == 200.0
    assert energy.joules() == 1150.0


def test_where_nobody_tells_there_is_no_figure(tmp_path: Path) -> None:
    """No folder, no counter that we may read and nonsense in one all mean that it is not known."""
    assert Energy(tmp_path / "none").joules() is None

    (zone(tmp_path, "0", "package-0", 1) / "energy_uj").unlink()
    assert Energy(tmp_path).joules() is None

    zone(tmp_path, "0", "package-0", 1)
    energy = Energy(tmp_path)
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("?")
    assert energy.joules() is None
    assert energy.joules() is None
