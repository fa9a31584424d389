"""Restoring for real: on one core and on two, from the recorded calls, and with flags of other data."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.restoring import GROUPS, python, restored, sums

from ccip_batch.run.results import read_result
from ccip_batch.stages.restorepims import RestoreResult

AGAIN = """
import json, sys
from pathlib import Path
from ccip_batch.casa.session import Casa
from ccip_batch.job.config import ResolvedJob
from ccip_batch.stages.restoregroup import Restoring
from ccip_batch.stages.restorepims import restorepims, spwmap
run, vis, imagename, cores = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
stages = {r["name"]: r["result"] for r in json.loads((run / "nodes/restore/result.json").read_text())["stages"]}
job = ResolvedJob.from_yaml((run / "job.resolved.yaml").read_text())
continuum = stages["editimlist_continuum"]
prediction = {
    **job.prediction(), "imagename": imagename, "spw": ",".join(map(str, continuum["science_spws"])),
    "field": ",".join(map(str, continuum["fields"])), "scan": ",".join(map(str, continuum["scans"])),
    "antenna": ",".join(map(str, range(continuum["antennas"]))) + "&",
}
found = {row["name"]: row["found"][0] for row in stages["resources"]["table"]}
casa = Casa(Path("../casa.log"), threads=cores)
restoring = Restoring(
    whole=vis, prediction=prediction, models=[found["model tt0"], found["model tt1"]],
    selfcal_table=found["self-calibration table"], spwmap=spwmap(casa, vis), commands=[],
)
done = restorepims(casa, restoring, groups=job.groups, at_once=cores, log=Path("../casa.log"))
print(done.model_dump_json())
"""


@pytest.fixture
def work(finished: Path, tmp_path: Path) -> Path:
    """A copy of the work folder of a finished restore."""
    copy = tmp_path / "work"
    shutil.copytree(finished / "nodes" / "restore" / "work", copy)
    return copy


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and "lock" not in path.name}


def test_one_core_and_two_give_the_same_bytes_and_leave_stage_3_alone(
    finished: Path, work: Path, tmp_path: Path
) -> None:
    vis = next(work.glob("*_split.ms"))
    versions = work / f"{vis.name}.flagversions"
    before = {**contents(vis), **contents(versions)}
    stages = json.loads((finished / "nodes" / "restore" / "result.json").read_text())["stages"]
    recorded = next(stage["result"] for stage in stages if stage["name"] == "restorepims")
    made = restored(finished)
    for cores in (1, 2):
        shutil.rmtree(work / "groups")
        done = python(AGAIN, finished, vis.name, "again.I.iter0", str(cores), cwd=work)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1]) == recorded
        made += [
            Path(shutil.move(work / "groups" / f"{group}.ms", tmp_path / f"{group}.{cores}.ms")) for group in GROUPS
        ]
        assert not list(work.glob("spw*"))
    ours = sums(finished, *made)
    assert ours == 3 * ours[: len(GROUPS)]
    after = {**contents(vis), **contents(versions)}
    assert {path for path in before if after[path] != before[path] and "HISTORY" not in path.parts} == set()


def test_flags_of_other_data_are_refused(finished: Path, work: Path) -> None:
    vis = next(work.glob("*_split.ms"))
    smaller = finished / "nodes" / "restore" / "out" / "spw17.ms"
    version = work / f"{vis.name}.flagversions" / "flags.statwt_1"
    shutil.rmtree(version)
    shutil.copytree(smaller, version)
    done = python(AGAIN, finished, vis.name, "again.I.iter0", "1", cwd=work)
    assert done.returncode != 0
    assert "rows but" in done.stderr and "DataError" in done.stderr


def test_recorded_calls_repeat_the_node(finished: Path, tmp_path: Path) -> None:
    copy = tmp_path / "restore"
    copy.mkdir()
    shutil.copy(finished / "nodes" / "restore" / "casa_commands.py", copy)
    site = finished / "nodes" / "restore" / "casa_home" / "casasiteconfig.py"
    done = subprocess.run(
        [sys.executable, str(copy / "casa_commands.py")],
        capture_output=True,
        text=True,
        env={**os.environ, "CASASITECONFIG": str(site), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    found = sums(finished, *restored(finished), *(copy / "replay" / "out" / f"{group}.ms" for group in GROUPS))
    assert found == 2 * found[: len(GROUPS)]


def test_results_of_older_versions_are_read(finished: Path) -> None:
    result = read_result(finished / "nodes" / "restore" / "result.json")
    assert result is not None
    recorded = result.stage("restorepims")
    assert RestoreResult.model_validate({"rerun": False, **recorded}) == RestoreResult.model_validate(recorded)
