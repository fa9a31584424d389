"""Rotation measures of spectra: what was put in comes out, within its error."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.table import Table
from skies import FREQUENCIES, LIGHT, Sky, Source, sky_wcs, write_plane

from ccip_batch.cube.polarisation import fit_rotation, wavelength_squared
from ccip_batch.cube.spectra.rotation import rotation_measures

FREQUENCY = np.array([2028e6 + 128e6 * n for n in range(16)])
SOURCE = Source(50.3, 60.6, 0.1, 0.2, -87.0, 0.6)


@pytest.mark.parametrize("signal", [10.0, 40.0])
def test_pulls_have_mean_0_and_width_1(signal: float) -> None:
    """signal: P over its error. Of a spectrum that falls with frequency, at any RM and angle."""
    rng = np.random.default_rng(3)
    squared, shape = wavelength_squared(FREQUENCY), (FREQUENCY / 3e9) ** -0.8
    error = np.linspace(1, 2, 16)
    true_p = signal / np.sqrt(np.sum((shape / error) ** 2))
    pulls = []
    for _ in range(400):
        rm, chi0 = rng.uniform(-900, 900), rng.uniform(0, 180)
        true = true_p * shape * np.exp(2j * (np.radians(chi0) + rm * squared))
        q, u = true.real + error * rng.standard_normal(16), true.imag + error * rng.standard_normal(16)
        fit = fit_rotation(squared, q, u, error, shape)
        turn = (fit.chi0 - chi0 + 90) % 180 - 90
        pulls.append([(fit.rm - rm) / fit.rm_err, (fit.p - true_p) / fit.p_err, turn / fit.chi0_err, fit.chi2])
    means, widths = np.mean(pulls, axis=0), np.std(pulls, axis=0)
    print(f"P/error {signal:g}: RM, P, chi0 pulls", means[:3].round(3), widths[:3].round(3), "chi2", means[3].round(3))
    assert np.abs(means[:3]) == pytest.approx(0, abs=0.15)
    assert widths[:3] == pytest.approx(1, abs=0.1)
    assert means[3] == pytest.approx(1, abs=0.05)


def extract(folder: Path, *words: str, without: str = "") -> subprocess.CompletedProcess[str]:
    """The command on the source; without: a module that cannot be imported."""
    ra, dec = (float(value) for value in sky_wcs((12.501525, -2.5)).all_pix2world(SOURCE.x, SOURCE.y, 0))
    code = f"import sys; sys.modules[{without!r}] = None; from ccip_batch.cli import main; main(prog_name='ccip-batch')"
    line = [sys.executable, "-c", code, "extract", str(folder), *words, "--", str(ra), str(dec)]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("planes")
    for spw in (2, 4, 6, 9, 11, 14, 17):
        write_plane(folder, spw, Sky([SOURCE], noise=1e-3), rejected=spw == 6)
    return folder


def test_the_second_table(folder: Path) -> None:
    pytest.importorskip("RMtools_1D")
    done = extract(folder, "--rm", "--out", "spectra.ecsv")
    assert done.returncode == 0 and done.stdout.split() == ["spectra.ecsv", "spectra.rm.ecsv"] and not done.stderr
    row = Table.read(folder / "spectra.rm.ecsv")[0]
    assert row["planes"] == 6 and np.isnan(row["P_limit"])
    assert LIGHT / FREQUENCIES[2] > LIGHT / row["frequency"] > LIGHT / FREQUENCIES[17]
    for name, truth in (("RM", SOURCE.rm), ("P", 0.02), ("chi0", np.degrees(SOURCE.angle))):
        assert abs(row[name] - truth) < 3.5 * row[f"{name}_err"]
        assert abs(row[f"{name}_synth"] - truth) < 3.5 * row[f"{name}_synth_err"]
    assert row["RM_synth"] == pytest.approx(row["RM"], abs=0.5 * row["RM_err"])
    again = extract(folder, "--rm", "--out", "spectra.ecsv")
    assert again.returncode == 11 and "exists" in again.stderr


def test_without_rm_tools_the_fit_alone_is_given(folder: Path) -> None:
    done = extract(folder, "--rm", "--out", "fit.csv", without="RMtools_1D")
    assert done.returncode == 0 and "RM-Tools is not installed" in done.stderr and "ccip-batch[rm]" in done.stderr
    table = Table.read(folder / "fit.rm.csv")
    assert abs(table["RM"][0] - SOURCE.rm) < 3.5 * table["RM_err"][0]
    assert not [name for name in table.colnames if name.endswith("synth")]


def test_what_is_not_polarised_and_what_has_too_few_planes() -> None:
    rng = np.random.default_rng(4)
    table = Table({"name": ["a"] * 16, "ra": [1.0] * 16, "dec": [1.0] * 16, "frequency": FREQUENCY})
    table["state"] = "kept"
    for stokes in "IQU":
        table[stokes], table[f"{stokes}_err"] = rng.standard_normal(16) + (stokes == "I"), 1.0
    table.meta["LIMIT"] = 6.0
    told: list[str] = []
    row = rotation_measures(table, told.append)[0]
    assert row["P_limit"] == pytest.approx(6 * row["P_err"]) and row["P_err"] == pytest.approx(0.25)
    table["state"] = ["kept"] * 2 + ["rejected"] * 14
    row = rotation_measures(table, told.append)[0]
    assert row["planes"] == 2 and np.isnan(row["RM"]) and np.isnan(row["P_limit"])
