"""Restoring a group for real: against stock CASA with all spws at once, and with flag commands and another intent."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from helpers.altered_sets import altered
from helpers.bare_calls import restore_calls, run_bare
from helpers.restoring import GROUPS, restored, stock, sums
from helpers.simulated_runs import ccip_batch

from ccip_batch.casa.flag_statistics import FlagCounts
from ccip_batch.errors import ExitCode
from ccip_batch.job.config import load_job
from ccip_batch.job.resolve import resolve
from ccip_batch.run.results import read_result
from ccip_batch.verbs.plan import plan

FLAGDATA = """
import json, sys, casatasks
commands, *measurement_sets = sys.argv[1:]
sys.argv = sys.argv[:1]
for vis in measurement_sets:
    casatasks.flagdata(vis, mode="list", inpfile=json.loads(commands), action="apply", flagbackup=False)
print("done")
"""


COMMANDS = (
    "mode='manual' spw='13' antenna='ea01&ea02;ea05'",
    "mode='manual' spw='17' scan='2'",
    "mode='manual' spw='10,12' timerange='2020/08/05/23:48:48.3~23:48:49'",
    "mode='manual' spw='5' antenna='ea07'",
)
"""For a spw of a group of two, a whole group, a time of two groups, and a spw that is in no group."""
INTENT = "OBSERVE_TARGET#ON_SOURCE"


def test_the_groups_are_those_of_all_spws_at_once_in_stock_casa(
    small_job: Path, finished: Path, tmp_path: Path
) -> None:
    job, result = resolve(load_job(small_job, [])), read_result(finished / "nodes" / "restore" / "result.json")
    assert result is not None
    (tmp_path / "calls.json").write_text(json.dumps(restore_calls(job, result, tmp_path)))
    run_bare("restore", tmp_path, finished / "nodes" / "restore" / "casa_home", None)
    found = sums(finished, *restored(finished), *(tmp_path / f"group_{spw}.ms" for spw in ("10", "12,13", "17")))
    assert found == 2 * found[: len(GROUPS)]


def planned_with(commands: Sequence[str], job: Path, folder: Path) -> Path:
    """A run folder of a job with a file of flag commands, planned for a pool."""
    (folder / "flags.txt").write_text("\n".join(commands) + "\n")
    run = folder / "run"
    changes = [f"inputs.flag_commands={folder / 'flags.txt'}", "execution.engine=htcondor", "execution.site=local"]
    planned = ccip_batch("plan", job, "--run-dir", run, *(word for change in changes for word in ("--set", change)))
    assert planned.returncode == 0, planned.stderr
    return run


def flagged_of(counts: FlagCounts, spw: int) -> int:
    return sum(by_spw.get(spw, 0) for by_spw in counts.flagged.values())


def test_flag_commands_flag_what_flagdata_does(small_job: Path, finished: Path, tmp_path: Path) -> None:
    """In data whose target has another of its intents, by which a plane is then imaged, too."""
    run = planned_with(COMMANDS, altered(small_job, tmp_path, INTENT), tmp_path)
    for node in ("restore", "image_spw17"):
        done = ccip_batch("node", run, node)
        assert done.returncode == 0, done.stderr
        calls = (run / "nodes" / node / "casa_commands.py").read_text()
        assert f"intent={INTENT!r}" in calls and "UNSPECIFIED" not in calls
    made = run / "nodes" / "restore"
    unflagged = restored(finished)
    flagged = [Path(shutil.copytree(path, tmp_path / path.name)) for path in unflagged]
    stock(FLAGDATA, finished, json.dumps(COMMANDS), *flagged)
    found = sums(finished, *unflagged, *flagged, *(made / "out" / path.name for path in unflagged))
    without, stock_flags, ours = (found[n : n + len(GROUPS)] for n in range(0, len(found), len(GROUPS)))
    assert ours == stock_flags
    for columns, before_flags in zip(ours, without, strict=True):
        assert columns["FLAG"] != before_flags["FLAG"]
    result = read_result(made / "result.json")
    assert result is not None
    flags = result.stage("flagtargetsdata")
    before, after = (FlagCounts.model_validate(flags[when]) for when in ("before", "after"))
    spws = {spw for by_spw in after.total.values() for spw in by_spw}
    changed = {spw for spw in spws if flagged_of(after, spw) > flagged_of(before, spw)}
    assert changed == {5, 10, 12, 13, 17}


def test_a_plan_without_casa_leaves_the_commands_to_the_first_stage(small_job: Path, tmp_path: Path) -> None:
    (tmp_path / "flags.txt").write_text("spw='5'\nantenna='ea99'\n")
    changes = [f"inputs.flag_commands={tmp_path / 'flags.txt'}", "execution.engine=htcondor", "execution.site=local"]
    plan(small_job, changes, tmp_path / "run", look=False)
    done = ccip_batch("node", tmp_path / "run", "restore")
    assert done.returncode == ExitCode.CONFIG and "flags.txt:2: antenna='ea99' names nothing" in done.stderr
    assert not list((tmp_path / "run/nodes/restore").rglob("*_split.ms"))
