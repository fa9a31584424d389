"""The products of case A held against those that NRAO's own pipeline makes of the same input.

`CCIP_PARITY_PLANES` names the spw groups to image, separated by commas (default: all).
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from astropy.io import fits
from helpers.simulated_runs import source_hash

ROOT = Path(__file__).parents[2]
CASE = ROOT.parent / "shared" / "reference" / "case_a"
PLANES = os.environ.get("CCIP_PARITY_PLANES", "2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17").split(",")
TOLERANCE = 1e-4
"""Relative to the largest value of a plane."""

pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(not CASE.is_dir(), reason=f"the reference case {CASE} is not here"),
]


def hash_of(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_mtime_ns}\0".encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    figures: dict[str, Any] = json.loads((CASE / "expected" / "figures.json").read_text())
    return figures


@pytest.fixture(scope="module")
def run() -> Path:
    """The run folder of the case, read where it lies; made anew unless it is there."""
    work = ROOT / "build" / "parity"
    work.mkdir(parents=True, exist_ok=True)
    vis = next((CASE / "input").glob("*.ms"))
    job = {
        "inputs": {
            "vis": str(vis),
            "reimaging_resources": str(CASE / "input" / "reimaging_resources.tgz"),
            "seip_parameter_list": str(CASE / "input" / "SEIP_parameter.list"),
            "ccip_parameter_list": str(CASE / "input" / "CCIP_parameter.list"),
        },
        "imaging": {"spw": PLANES},
    }
    (work / "job.yaml").write_text(yaml.safe_dump(job))
    before = hash_of(CASE / "input")
    folder = work / f"run-{source_hash('ccip_batch')}"
    command = [sys.executable, "-m", "ccip_batch", "run", str(work / "job.yaml"), "--run-dir", str(folder)]
    subprocess.run(command, check=True)
    assert hash_of(CASE / "input") == before, "the inputs were changed"
    return folder


def stage(run: Path, node: str, name: str) -> Any:
    result = json.loads((run / "nodes" / node / "result.json").read_text())
    return next(record["result"] for record in result["stages"] if record["name"] == name)


def imaged(expected: dict[str, Any]) -> list[str]:
    return [spw for spw in PLANES if expected["plane_status"][spw] != "skipped"]


def node_of(spw: str) -> str:
    return "image_spw" + "_".join(f"{int(part):02d}" for part in spw.split(","))


def test_products_are_those_of_the_reference(run: Path) -> None:
    command = [
        sys.executable,
        str(CASE.parent / "compare.py"),
        str(run / "products"),
        str(CASE / "expected" / "figures.json"),
        "--tolerance",
        str(TOLERANCE),
        "--only",
        ",".join(PLANES),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout


def test_headers_have_what_the_reference_tells_of_the_imaging(run: Path) -> None:
    for path in sorted((CASE / "expected" / "fits").glob("*.fits")):
        theirs = fits.getheader(path)
        if theirs["SPW"] not in PLANES:
            continue
        ours = fits.getheader(run / "products" / path.name)
        for key in ("SPW", "WEIGHT", "ROBUST", "ITER", "SPECMODE", "NSPWNAM", "SPWNAM01", "VELREF"):
            assert ours[key] == theirs[key], (path.name, key)
        for key in ("CTRFRQ", "EFFBW", "DATARMS", "ALTRVAL"):
            assert ours[key] == pytest.approx(theirs[key], rel=TOLERANCE), (path.name, key)
        names = [
            "".join(header[f"FILNAM{n:02d}"] for n in range(1, header["NFILNAM"] + 1)) for header in (ours, theirs)
        ]
        assert names[1].endswith(f".{names[0]}") and "_0." in names[1].removesuffix(names[0])  # the number of the stage


def test_plane_states(run: Path, expected: dict[str, Any]) -> None:
    analysis = stage(run, "analyze", "analyzestokescubes")
    states = {one["spw"]: "kept" if one["kept"] else "rejected" for one in analysis["judgements"]}
    states.update(dict.fromkeys(analysis["not_imaged"], "skipped"))
    assert states == {spw: expected["plane_status"][spw] for spw in PLANES}


def test_flag_fractions(run: Path, expected: dict[str, Any]) -> None:
    targets = stage(run, "restore", "editimlist_cube")
    reference = expected["plane_rejection_before_imaging"]
    columns = [reference["spwgroup_list"].index(spw) for spw in PLANES]
    assert targets["flags"]["fraction"] == [
        [row[column] for column in columns] for row in reference["flagpct_field_spwgroup"]
    ]
    assert [plane["flagged_fraction"] for plane in targets["planes"]] == [
        reference["flagpct_spwgroup"][column] for column in columns
    ]


def test_iterations(run: Path, expected: dict[str, Any]) -> None:
    for spw in imaged(expected):
        plane = expected["planes"][spw]
        made = stage(run, node_of(spw), "makeimages")["iterations"]
        assert [one["major_cycles"] for one in made] == [plane["nmajor_per_iter"][str(n)] for n in range(4)]
        assert [one["iterations"] for one in made] == [plane["niter_per_iter"][str(n)] for n in range(4)]
        assert [one["stopcode"] for one in made] == [call["stopcode"] for call in plane["calls"]]


def test_rms_figures(run: Path, expected: dict[str, Any]) -> None:
    for spw in imaged(expected):
        made = stage(run, node_of(spw), "makermsimages")["statistics"]
        tables = expected["makermsimages"]["rmsstats"]
        reference = next(table for name, table in tables.items() if f".spw{spw}." in name)
        for index, stokes in enumerate("IQUV"):
            assert made[stokes]["pixels"] == reference["npts"][index]
            for key in ("max", "min", "mean", "median", "sigma", "madrms"):
                assert made[stokes][key] == pytest.approx(reference[key][index], rel=TOLERANCE, abs=1e-9), (spw, key)


def test_cutout_figures(run: Path, expected: dict[str, Any]) -> None:
    for spw in imaged(expected):
        made = stage(run, node_of(spw), "makecutoutimages")["statistics"]
        reference = expected["makecutoutimages"]["stats"][spw]
        for index, stokes in enumerate("IQUV"):
            for kind in ("image", "residual"):
                for key in ("peak", "madrms"):
                    assert made[stokes][kind][key] == pytest.approx(reference[kind][key][index], rel=TOLERANCE)
            for ours, theirs in (
                ("rms_max", "max"),
                ("rms_median", "median"),
                ("rms_low_fraction", "pct<800e-6"),
                ("masked_fraction", "pct_masked"),
            ):
                assert made[stokes][ours] == pytest.approx(reference["rms"][theirs][index], rel=TOLERANCE)
            for key in ("max", "min", "median"):
                assert made[stokes][f"pb_{key}"] == pytest.approx(reference["pb"][key][index], rel=TOLERANCE)


def test_stokes_figures(run: Path, expected: dict[str, Any]) -> None:
    places = stage(run, "analyze", "analyzestokescubes")["stokes"]["places"]
    for place, name in zip(places, ("peak_stokesi", "peak_linpolint"), strict=True):
        reference = expected["analyzestokescubes"]["stats"][name]
        assert [place["x"], place["y"]] == reference["xy"]
        for row in place["planes"]:
            index = reference["spw"].index(row["spw"])
            peak = reference["stokesi"][index]
            for stokes in "IQUV":
                value = reference[f"stokes{stokes.lower()}"][index]
                assert row["mean"][stokes] == pytest.approx(value, abs=TOLERANCE * peak)
            assert row["rms"] == pytest.approx(reference["stokesi_rms"][index], rel=TOLERANCE)
            assert row["kept"] == reference["keep"][index]
