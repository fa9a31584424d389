"""Restoring for real: on one core and on two, with a flag command that selects nothing, and from the recorded calls."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from helpers.finished_runs import result
from helpers.restoring import GROUPS, python, restored, sums

from ccip_batch.run.results import read_result
from ccip_batch.stages.restorepims import RestoreResult

AGAIN = """
import json, sys
from pathlib import Path
from ccip_batch.casa.session import Casa
from ccip_batch.errors import DataError
from ccip_batch.job.config import ResolvedJob
from ccip_batch.stages.restoregroup import Restoring
from ccip_batch.stages.restorepims import restorepims, spwmap
run, vis, imagename, cores, command = Path(sys.argv[1]), *sys.argv[2:4], int(sys.argv[4]), sys.argv[5]
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
    selfcal_table=found["self-calibration table"], spwmap=spwmap(casa, vis), commands=[command],
)
try:
    restorepims(casa, restoring, groups=job.groups, at_once=cores, log=Path("../casa.log"))
except DataError as error:
    print(json.dumps(str(error)))
"""


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and "lock" not in path.name}


def test_another_number_of_cores_gives_the_same_bytes_and_leaves_stage_3_alone(finished: Path, tmp_path: Path) -> None:
    """The finished run had one or two. Here a flag command is given, too, that selects nothing: it changes nothing, and
    is told when that is known of all groups."""
    work = tmp_path / "work"
    shutil.copytree(finished / "nodes" / "restore" / "work", work)
    vis = next(work.glob("*_split.ms"))
    versions = work / f"{vis.name}.flagversions"
    before = {**contents(vis), **contents(versions)}
    shutil.rmtree(work / "groups")
    cores = 1 if result(finished, "restore")["usage"]["cores"] > 1 else 2
    done = python(AGAIN, finished, vis.name, "again.I.iter0", str(cores), "spw='5' antenna='ea01&&&'", cwd=work)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert "the flag commands select no data" in told and "inputs.flag_commands" in told
    assert not list(work.glob("spw*"))
    ours = sums(finished, *restored(finished), *(work / "groups" / f"{group}.ms" for group in GROUPS))
    assert ours == 2 * ours[: len(GROUPS)]
    after = {**contents(vis), **contents(versions)}
    assert {path for path in before if after[path] != before[path] and "HISTORY" not in path.parts} == set()


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
    kept = read_result(finished / "nodes" / "restore" / "result.json")
    assert kept is not None
    recorded = kept.stage("restorepims")
    assert RestoreResult.model_validate({"rerun": False, **recorded}) == RestoreResult.model_validate(recorded)
