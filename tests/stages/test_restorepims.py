"""Restoring for real: on one core and on two, from the recorded calls, against stock CASA with all spws at once, with
flag commands, and with flags of other data."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from helpers.bare_calls import restore_calls, run_bare
from helpers.simulated_runs import ccip_batch

from ccip_batch.casa.flag_statistics import FlagCounts
from ccip_batch.errors import ExitCode
from ccip_batch.job.config import load_job
from ccip_batch.job.resolve import resolve
from ccip_batch.run.results import read_result
from ccip_batch.stages.restorepims import RestoreResult

SUMS = """
import hashlib, json, sys, casatools
table, sums = casatools.table(), {}
table.open(sys.argv[1])
for column in table.colnames():
    if table.iscelldefined(column, 0):
        sums[column] = hashlib.sha256(table.getcol(column).tobytes()).hexdigest()
print(json.dumps(sums))
"""

FLAGDATA = """
import sys, casatasks
vis, *commands = sys.argv[1:]
sys.argv = sys.argv[:1]
casatasks.flagdata(vis, mode="list", inpfile=commands, action="apply", flagbackup=False)
print("done")
"""

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

COMMANDS = (
    "mode='manual' spw='13' antenna='ea01&ea02;ea05'",
    "mode='manual' spw='17' scan='2'",
    "mode='manual' spw='10,12' timerange='2020/08/05/23:48:48.3~23:48:49'",
    "mode='manual' spw='5' antenna='ea07'",
)
"""For a spw of a group of two, a whole group, a time of two groups, and a spw that is in no group."""
GROUPS = ("spw10", "spw12_13", "spw17")
COLUMNS = {"DATA", "FLAG", "FLAG_ROW", "WEIGHT", "SIGMA", "WEIGHT_SPECTRUM", "UVW", "TIME", "ANTENNA1", "DATA_DESC_ID"}


def python(code: str, *arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, cwd=cwd)


def stock(code: str, finished: Path, *arguments: str | Path) -> str:
    """What a script in stock CASA prints last."""
    site = finished / "nodes" / "restore" / "casa_home" / "casasiteconfig.py"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        env={**os.environ, "CASASITECONFIG": str(site)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def sums(vis: Path, finished: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads(stock(SUMS, finished, vis))
    assert set(found) >= COLUMNS and not {"MODEL_DATA", "CORRECTED_DATA"} & set(found)
    return found


@pytest.fixture
def work(finished: Path, tmp_path: Path) -> Path:
    """A copy of the work folder of a finished restore."""
    copy = tmp_path / "work"
    shutil.copytree(finished / "nodes" / "restore" / "work", copy)
    return copy


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and "lock" not in path.name}


def test_one_core_and_two_give_the_same_bytes_and_leave_stage_3_alone(finished: Path, work: Path) -> None:
    vis = next(work.glob("*_split.ms"))
    versions = work / f"{vis.name}.flagversions"
    before = {**contents(vis), **contents(versions)}
    stages = json.loads((finished / "nodes" / "restore" / "result.json").read_text())["stages"]
    recorded = next(stage["result"] for stage in stages if stage["name"] == "restorepims")
    for cores in (1, 2):
        shutil.rmtree(work / "groups")
        done = python(AGAIN, finished, vis.name, "again.I.iter0", str(cores), cwd=work)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1]) == recorded
        for group in GROUPS:
            made = finished / "nodes" / "restore" / "out" / f"{group}.ms"
            assert sums(work / "groups" / f"{group}.ms", finished) == sums(made, finished)
        assert not list(work.glob("spw*"))
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


def test_the_groups_are_those_of_all_spws_at_once_in_stock_casa(
    small_job: Path, finished: Path, tmp_path: Path
) -> None:
    job, restored = resolve(load_job(small_job, [])), read_result(finished / "nodes" / "restore" / "result.json")
    assert restored is not None
    (tmp_path / "calls.json").write_text(json.dumps(restore_calls(job, restored, tmp_path)))
    run_bare("restore", tmp_path, finished / "nodes" / "restore" / "casa_home", None)
    for group, spw in zip(GROUPS, ("10", "12,13", "17"), strict=True):
        bare = sums(tmp_path / f"group_{spw}.ms", finished)
        assert bare == sums(finished / "nodes" / "restore" / "out" / f"{group}.ms", finished)


def restored_with(commands: Sequence[str], job: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `restore` alone, with a file of flag commands."""
    (folder / "flags.txt").write_text("\n".join(commands) + "\n")
    run = folder / "run"
    changes = [f"inputs.flag_commands={folder / 'flags.txt'}", "execution.engine=htcondor", "execution.site=local"]
    planned = ccip_batch("plan", job, "--run-dir", run, *(word for change in changes for word in ("--set", change)))
    assert planned.returncode == 0, planned.stderr
    return ccip_batch("node", run, "restore")


def flagged_of(counts: FlagCounts, spw: int) -> int:
    return sum(by_spw.get(spw, 0) for by_spw in counts.flagged.values())


def test_flag_commands_flag_what_flagdata_does(small_job: Path, finished: Path, tmp_path: Path) -> None:
    ours = finished / "nodes" / "restore" / "out"
    done = restored_with(COMMANDS, small_job, tmp_path)
    assert done.returncode == 0, done.stderr
    made = tmp_path / "run" / "nodes" / "restore"
    for group in GROUPS:
        copy = tmp_path / f"{group}.ms"
        shutil.copytree(ours / copy.name, copy)
        stock(FLAGDATA, finished, copy, *COMMANDS)
        with_flags, without = sums(made / "out" / copy.name, finished), sums(ours / copy.name, finished)
        assert with_flags == sums(copy, finished)
        assert with_flags["FLAG"] != without["FLAG"]
    result = read_result(made / "result.json")
    assert result is not None
    flags = result.stage("flagtargetsdata")
    before, after = (FlagCounts.model_validate(flags[when]) for when in ("before", "after"))
    spws = {spw for by_spw in after.total.values() for spw in by_spw}
    changed = {spw for spw in spws if flagged_of(after, spw) > flagged_of(before, spw)}
    assert changed == {5, 10, 12, 13, 17}


def test_a_command_that_selects_nothing_is_refused(small_job: Path, finished: Path, tmp_path: Path) -> None:
    done = restored_with(["mode='manual' spw='5' scan='77'"], small_job, tmp_path)
    assert done.returncode == ExitCode.DATA
    assert "inputs.flag_commands" in done.stderr


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
    for group in GROUPS:
        ours = finished / "nodes" / "restore" / "out" / f"{group}.ms"
        assert sums(copy / "replay" / "out" / f"{group}.ms", finished) == sums(ours, finished)


def test_results_of_older_versions_are_read(finished: Path) -> None:
    result = read_result(finished / "nodes" / "restore" / "result.json")
    assert result is not None
    recorded = result.stage("restorepims")
    assert RestoreResult.model_validate({"rerun": False, **recorded}) == RestoreResult.model_validate(recorded)
