"""Cell and image size are compared with the data before anything runs."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from helpers.input_files import make_job
from helpers.simulated_runs import ccip_batch

from ccip_batch.casa.measurement_set import Field, MsSummary, Spw
from ccip_batch.imaging.sky import phase_centre
from ccip_batch.job.config import load_job
from ccip_batch.job.resolve import resolve
from ccip_batch.verbs.sampling import doubts


def survey(phasecenter: str, reach_arcsec: float, baseline_m: float) -> MsSummary:
    """What a measurement set of fields up to some distance from the phase centre tells."""
    centre = phase_centre(phasecenter)
    fields = [
        Field(
            id=n, name=f"0{n}", ra_rad=centre.ra.rad, dec_rad=centre.dec.rad + math.radians(offset / 3600), target=True
        )
        for n, offset in enumerate((-reach_arcsec, 0.0, reach_arcsec))
    ]
    spws = [
        Spw(id=n, name=str(n), channels=64, channel_width_hz=2e6, mean_frequency_hz=2028e6 + 128e6 * (n - 2),
            bandwidth_hz=128e6)
        for n in range(18)
    ]  # fmt: skip
    return MsSummary(
        name="x.ms", telescope="EVLA", observer="", rows=1, bytes=1, spws=spws, fields=fields, target_scans=[2],
        scans=[2], antennas=["ea01"], longest_baseline_m=baseline_m, intents=[], start_mjd=0.0, end_mjd=1.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("imaging", "reach", "baseline", "told"),
    [
        ("imsize: 12500, cell: 0.6arcsec", 2790, 11_100, []),  # the survey, and its hybrid configuration
        ("imsize: 12500, cell: 0.6arcsec", 2790, 36_400, []),
        ("imsize: 3136, cell: 2.4arcsec, uvrange: <3km", 2790, 11_100, []),  # configs/laptop.yaml
        ("imsize: 3136, cell: 2.4arcsec, uvrange: <3km", 240, 1_030, ["finer than need be", "546 pixels of 5 arcsec"]),
        ("imsize: 12500, cell: 0.6arcsec", 240, 11_100, ["pixels of 0.6 arcsec would do, 8 times fewer"]),
        ("imsize: 3136, cell: 2.4arcsec", 2790, 11_100, ["too coarse: the longest baseline, 11.1 km"]),
        ("imsize: 2048, cell: 0.6arcsec", 2790, 11_100, ["fields 47 arcmin from the phase centre"]),
        ("imsize: 2048, cell: 0.6arcsec", 600, 0, []),
    ],
)
def test_cell_and_size_are_held_against_baselines_and_fields(
    tmp_path: Path, imaging: str, reach: float, baseline: float, told: list[str]
) -> None:
    job = resolve(load_job(make_job(tmp_path, f"imaging: {{{imaging}}}\n")))
    found = doubts(job, survey(job.phasecenter, reach, baseline))
    assert len(found) == len(told), found
    for text, part in zip(found, told, strict=True):
        assert part in text and text.startswith("imaging.")


def test_validate_warns(small_job: Path) -> None:
    assert ccip_batch("validate", small_job).stderr == ""
    fine = ("--set", "imaging.imsize=4096", "--set", "imaging.cell=1arcsec")
    told = ccip_batch("validate", small_job, *fine)
    assert told.returncode == 0 and "warning: imaging.cell: pixels of 1 arcsec are finer than need be" in told.stderr
