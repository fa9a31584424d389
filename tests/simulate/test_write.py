"""The simulator itself, with CASA, on a job that is as small as it can be."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ccip_batch.errors import CasaError, ConfigError, DataError
from ccip_batch.job.versions import casa_is_installed
from ccip_batch.simulate import simulate

pytestmark = pytest.mark.skipif(not casa_is_installed(), reason="needs CASA")

SIZES = {"channels": 2, "fields": 2, "integrations": 1, "pixels": 120}

# CASA works in a process of its own: its settings are global. Prints nothing, saves arrays.
_READER = """
import os, sys, tarfile
from pathlib import Path
import numpy as np
from ccip_batch.casa.session import Casa
job, work = Path(sys.argv[1]), Path(sys.argv[2])
os.chdir(work)
casa = Casa(Path("casa.log"))
safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Debian 12's Python has none
tarfile.open(job / "reimaging_resources.tgz").extractall(**safely)
root = next(job.glob("*.ms")).stem
found = {}
def read(name, path, columns, query="DATA_DESC_ID >= 0"):
    with casa.table(str(path)) as table:
        part = table.query(query) if query else table
        for column in columns:
            found[f"{name}.{column}"] = part.getcol(column)
ms = job / f"{root}.ms"
with casa.table(str(ms)) as table:
    found["columns"] = np.array(table.colnames())
read("ms", ms, ["TIME", "FIELD_ID", "DATA_DESC_ID", "SCAN_NUMBER", "STATE_ID", "UVW", "ANTENNA1", "ANTENNA2"])
for spw in (3, 5, 9, 10, 12):
    read(f"spw{spw}", ms, ["DATA", "FLAG", "WEIGHT", "SIGMA"], f"DATA_DESC_ID == {spw}")
read("field", ms / "FIELD", ["NAME"], "")
read("state", ms / "STATE", ["OBS_MODE"], "")
read("spws", ms / "SPECTRAL_WINDOW", ["NAME", "BBC_NO", "NUM_CHAN"], "")
read("phases", next(work.glob("*.tbl")), ["CPARAM", "ANTENNA1", "SCAN_NUMBER", "FLAG"], "")
casa.task("mstransform", vis=str(ms), outputvis="split.ms", field="1,2", spw="2~17", datacolumn="data", chanbin=1,
          timebin="0s", reindex=False)
read("split", "split.ms", ["DATA", "FLAG"], "DATA_DESC_ID == 10")
Path(f"{root}_split.ms.flagversions").rename("split.ms.flagversions")
for version in ("se_initial", "flagdata_1", "statwt_1"):
    casa.task("flagmanager", vis="split.ms", mode="restore", versionname=version)
    read(version, "split.ms", ["FLAG"], "DATA_DESC_ID == 10")
for image in work.glob("s*_0.*"):
    with casa.image(str(image)) as tool:
        found["image." + image.name.partition("v1.")[2]] = tool.getchunk()[:, :, 0, 0]
np.savez("found.npz", **found)
"""


def _read(job: Path, work: Path) -> dict[str, Any]:
    work.mkdir()
    subprocess.run([sys.executable, "-c", _READER, str(job), str(work)], check=True, capture_output=True)
    with np.load(work / "found.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("simulated") / "job"
    steps: list[str] = []
    assert simulate(folder, "small", 3, steps.append, **SIZES) == folder / "job.yaml"
    assert "visibilities" in steps
    return folder


@pytest.fixture(scope="module")
def found(job: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return _read(job, tmp_path_factory.mktemp("read") / "work")


def _root(job: Path) -> str:
    return str(json.loads((job / "truth.json").read_text())["ms"]).removesuffix(".ms")


def test_a_folder_holds_a_job_and_nothing_else(job: Path) -> None:
    names = {path.name for path in job.iterdir()}
    lists = {"SEIP_parameter.list", "CCIP_parameter.list"}
    assert names == {f"{_root(job)}.ms", "reimaging_resources.tgz", "truth.json", "job.yaml", *lists}
    config = yaml.safe_load((job / "job.yaml").read_text())
    assert all((job / value).exists() for value in config["inputs"].values())
    values = dict(line.split("=", 1) for line in (job / "CCIP_parameter.list").read_text().splitlines())
    assert ast.literal_eval(values["spw"]) == ["9", "10", "12,13", "17"]
    assert ast.literal_eval(values["imsize"]) == [120, 120]


def test_the_tarball_has_every_resource_at_its_top(job: Path) -> None:
    with tarfile.open(job / "reimaging_resources.tgz") as tar:
        members = tar.getmembers()
    assert all(member.isfile() or member.isdir() for member in members)
    tops = {member.name.split("/")[0] for member in members}
    for ending in ("QLcatmask-tier1.mask", "combined-tier2.mask", "I.iter1.model.tt0", "I.iter1.model.tt1"):
        assert sum(top.endswith(ending) for top in tops) == 1
    assert sum(top.endswith("_split.ms.hifv_selfcal.s8_1.phase-self-cal.tbl") for top in tops) == 1
    assert f"{_root(job)}_split.ms.flagversions/flags.statwt_1/table.dat" in {member.name for member in members}


def test_the_measurement_set_is_built_as_the_survey_builds_them(job: Path, found: dict[str, Any]) -> None:
    assert not {"MODEL_DATA", "CORRECTED_DATA"} & set(found["columns"])
    assert (np.diff(found["ms.TIME"]) >= 0).all()
    targets = found["ms.FIELD_ID"] > 0
    assert set(found["ms.DATA_DESC_ID"][~targets]) == {0, 1} and set(found["ms.DATA_DESC_ID"][targets]) == set(
        range(2, 18)
    )
    assert list(found["state.OBS_MODE"][[0, 1]]) == ["CALIBRATE_POINTING#UNSPECIFIED", "OBSERVE_TARGET#UNSPECIFIED"]
    assert (found["ms.STATE_ID"] == targets).all() and (found["ms.SCAN_NUMBER"][~targets] == 1).all()
    assert list(found["field.NAME"][1:]) == [
        field["name"] for field in json.loads((job / "truth.json").read_text())["fields"]
    ]
    assert found["spws.NAME"][2] == "EVLA_S#A0C0#2" and list(found["spws.BBC_NO"][[2, 17]]) == [12, 15]
    assert targets.sum() == 351 * 2 * 16


def test_flags_are_those_of_the_preset(job: Path, found: dict[str, Any]) -> None:
    assert found["spw9.FLAG"].all() and not found["spw10.FLAG"].any()
    truth = json.loads((job / "truth.json").read_text())
    assert truth["flagged_frac"]["9"] == 1.0 and truth["flagged_frac"]["15"] == pytest.approx(0.6, abs=0.01)


def test_interference_is_flagged_in_the_last_version_only(job: Path, found: dict[str, Any]) -> None:
    rows = json.loads((job / "truth.json").read_text())["rfi_rows"]["10"]
    assert not found["se_initial.FLAG"].any() and not found["flagdata_1.FLAG"].any()
    flagged = found["statwt_1.FLAG"]
    assert flagged.sum() == 4 * rows
    loud = np.abs(found["split.DATA"]) > 20.0
    assert (loud == flagged).all()  # the rows of the versions are those of the split measurement set


def test_the_self_calibration_finds_the_phases(job: Path, found: dict[str, Any]) -> None:
    truth = json.loads((job / "truth.json").read_text())["phase_err_rad"]
    phases = np.array([truth[str(scan)] for scan in found["phases.SCAN_NUMBER"]])
    true = phases[np.arange(len(phases)), found["phases.ANTENNA1"]]
    gains = found["phases.CPARAM"][:, 0]
    assert not found["phases.FLAG"].any()
    assert np.std(true) > 0.3
    assert np.sqrt(np.mean(np.angle(gains * np.exp(-1j * true)) ** 2)) < 0.12


def test_models_and_masks_hold_the_sources(job: Path, found: dict[str, Any]) -> None:
    sources = {source["name"]: source for source in json.loads((job / "truth.json").read_text())["sources"]}

    def at(name: str, image: str) -> float:
        source = sources[name]
        return float(found[f"image.{image}"][60 - round(source["dx"] / 7), 60 + round(source["dy"] / 7)])

    assert at("A", "QLcatmask-tier1.mask") == 1 and at("C", "QLcatmask-tier1.mask") == 0
    assert at("C", "combined-tier2.mask") == 1
    assert 0 < found["image.combined-tier2.mask"].mean() < 0.05
    assert 0.5 * 0.15 < at("A", "I.iter1.model.tt0") < 0.15 and at("C", "I.iter1.model.tt0") == 0
    assert at("A", "I.iter1.model.tt1") == pytest.approx(-0.7 * at("A", "I.iter1.model.tt0"), rel=1e-5)


def test_the_same_seed_gives_the_same_data(found: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.mktemp("again")
    simulate(base / "same", "small", 3, **SIZES)
    same = _read(base / "same", base / "read")
    for name in ("ms.UVW", "ms.TIME", "spw3.DATA", "spw10.DATA", "spw12.DATA", "spw5.FLAG", "phases.CPARAM"):
        assert same[name].tobytes() == found[name].tobytes(), name


def test_another_seed_gives_other_data(found: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.mktemp("other")
    simulate(base / "other", "small", 4, **SIZES)
    other = _read(base / "other", base / "read")
    assert not np.array_equal(other["spw12.DATA"], found["spw12.DATA"])
    assert np.array_equal(other["ms.UVW"], found["ms.UVW"])


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty"):
        simulate(tmp_path, "small")
    with pytest.raises(DataError, match="is a file"):
        simulate(tmp_path / "mine.txt", "small")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_bad_sizes_make_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="channels=4"):
        simulate(tmp_path / "new", "custom", channels=4)
    assert not (tmp_path / "new").exists()


def test_a_failure_inside_casa_leaves_the_folder_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    (data / "geodetic").mkdir(parents=True)  # CASA's data without the tables that it needs
    (data / "alma" / "simmos").mkdir(parents=True)
    (data / "alma" / "simmos" / "vla.d.cfg").write_text("0. 0. 0. 25. W01\n100. 0. 0. 25. W02\n")
    monkeypatch.setenv("CCIP_CASA_DATA", str(data))
    with pytest.raises(CasaError, match="The simulation failed"):
        simulate(tmp_path / "new", "small", **SIZES)
    assert list((tmp_path / "new").iterdir()) == []
