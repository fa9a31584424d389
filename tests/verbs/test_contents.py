"""What is in the measurement set is held against the job before anything runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from helpers.altered_sets import altered
from helpers.finished_runs import write_result
from helpers.input_files import make_job
from helpers.simulated_runs import ccip_batch, changed

from ccip_batch.casa.probe import Finding
from ccip_batch.errors import ConfigError
from ccip_batch.job.config import load_job
from ccip_batch.job.resolve import resolve
from ccip_batch.run.folder import RunFolder
from ccip_batch.run.run import Run
from ccip_batch.verbs.contents import is_restored, judge
from ccip_batch.verbs.plan import plan


def with_flags(job: Path, folder: Path, *lines: str) -> Path:
    (folder / "flags.txt").write_text("\n".join(lines) + "\n")
    return changed(job, folder, inputs__flag_commands=str(folder / "flags.txt"))


MISSING = {
    "antenna='ea99'": "antenna='ea99' names nothing",
    "spw='3' antenna='ea01,ea99&ea02'": "antenna='ea99'",
    "antenna='!ea99'": "antenna='ea99'",
    "antenna='0,40'": "antenna='40'",
    "spw='40'": "spw='40'",
    "spw='3,NOPE*'": "spw='NOPE*'",
    "field='NOPE,0'": "field='NOPE'",
    "field='99'": "field='99'",
    "scan='2,99'": "scan='99'",
    "intent='*NOPE*'": "intent='*NOPE*'",
    "correlation='ABS_XX'": "correlation='XX'",
    "observation='5'": "observation='5'",
    "array='5'": "array='5'",
    "uvrange='far'": "uvrange='far'",
    "spw='3:0~2;90~95'": "spw='3:0~2;90~95'",
    "spw='0:5~7'": "spw 0 has 2 channels",
}
"""Commands that name what is not there, and what is told."""
THERE = (
    "antenna='ea01&ea02'", "antenna='!ea05'", "antenna='0~3;ea0*'", "antenna='ea01&'", "spw='9:0~4;1,EVLA*'",
    "spw='*' field='1333*'", "scan='1~99'", "scan='<9' intent='*TARGET*'", "correlation='ABS_RR,LL'",
    "correlation='ABS_ALL'", "spw='3:2100~2200MHz'", "mode='quack' quackinterval=1.0",
    "uvrange='<10klambda' array='0' observation='0'",
)  # fmt: skip
NO_DATA = ("timerange='2030/01/01/00:00:00~01:00:00'", "spw='0'", "scan='1' intent='*TARGET*'")
"""Commands whose parts are all there, but that select nothing that is imaged."""


def test_commands_that_name_what_is_not_there(small_job: Path, tmp_path: Path) -> None:
    job = with_flags(small_job, tmp_path, "# mine", *MISSING, *THERE, *NO_DATA)
    done = ccip_batch("validate", job)
    assert done.returncode == 10, done.stderr
    told = [line for line in done.stderr.splitlines() if "flags.txt:" in line]
    assert len(told) == len(MISSING)
    for number, (line, words) in enumerate(zip(told, MISSING.values(), strict=True), 2):
        assert f"flags.txt:{number}: " in line and words in line and "Correct the command, or remove it." in line


def test_commands_that_select_nothing_beside_good_ones_are_told(small_job: Path, tmp_path: Path) -> None:
    done = ccip_batch("validate", with_flags(small_job, tmp_path, *THERE, *NO_DATA))
    assert done.returncode == 0, done.stderr
    told = [line for line in done.stderr.splitlines() if "flags.txt:" in line]
    assert [line.split(": ")[1].rpartition(":")[2] for line in told] == ["14", "15", "16"]
    assert all("selects none of the data" in line for line in told)


def test_commands_that_all_select_nothing_are_an_error_of_all_verbs(small_job: Path, tmp_path: Path) -> None:
    job = with_flags(small_job, tmp_path, NO_DATA[0])
    for verb in ("validate", "run", "plan"):
        more = ("--set", "execution.engine=htcondor", "--set", "execution.site=local") if verb == "plan" else ()
        done = ccip_batch(verb, job, "--run-dir", tmp_path / "run", *more)
        assert done.returncode == 10 and "flags.txt:1: selects none of the data" in done.stderr, done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("what", "code", "words"),
    [
        ("OBSERVE_TARGET#ON_SOURCE", 0, ""),
        ("CALIBRATE_PHASE#ON_SOURCE", 11, "no scan with the intent OBSERVE_TARGET (intents: CALIBRATE_PHASE"),
        ("fields", 11, "4 target fields (J133301+164249, J133302+164249, J133303+164249, J133304+164249), but none is"),
        ("frequency", 11, "spw 9 and spw 10"),
        ("damage", 11, ".ms/ANTENNA: AipsIO::getNextType: no magic value found. Fetch it again."),
        ("row flags", 0, "has rows with FLAG_ROW, but not FLAG, set"),
    ],
)
def test_another_measurement_set(small_job: Path, tmp_path: Path, what: str, code: int, words: str) -> None:
    done = ccip_batch("validate", altered(small_job, tmp_path, what))
    assert done.returncode == code and words in done.stderr, done.stderr


def test_no_field_near_the_phase_centre(small_job: Path, tmp_path: Path) -> None:
    lists = tmp_path / "SEIP_parameter.list"
    text = (small_job.parent / "SEIP_parameter.list").read_text().splitlines()
    lists.write_text("\n".join("phasecenter='J2000 01:00:00.0 +10.00.00.0'" if "phase" in t else t for t in text))
    done = ccip_batch(
        "run", changed(small_job, tmp_path, inputs__seip_parameter_list=str(lists)), "--run-dir", tmp_path / "run"
    )
    assert done.returncode == 11 and "no target field within" in done.stderr


def test_a_run_is_looked_at_again_if_commands_or_planes_have_changed(tmp_path: Path) -> None:
    flags, job = tmp_path / "flags.txt", make_job(tmp_path / "job")
    flags.write_text("spw='3'\n")
    changes = ["execution.engine=htcondor", "execution.site=local", f"inputs.flag_commands={flags}"]
    plan(job, changes, tmp_path / "run", look=False)
    folder, resolved = RunFolder(tmp_path / "run"), resolve(load_job(job, changes))
    assert not is_restored(folder, resolved)
    write_result(Run.read(folder), "restore")
    assert is_restored(folder, resolved)
    assert not is_restored(folder, resolve(load_job(job, [*changes, "imaging.spw=[5]"])))
    assert not is_restored(folder, resolve(load_job(job, changes[:2])))
    flags.write_text("antenna='ea99'\n")
    assert not is_restored(folder, resolved)


def test_a_casa_that_does_not_start_stops_what_would_use_it(tmp_path: Path) -> None:
    job, found = make_job(tmp_path), Finding(versions={}, broken="CASA cannot be imported: no such library")
    with pytest.raises(ConfigError, match=f"{sys.executable}: CASA cannot be imported: no such library. Install CASA"):
        judge(resolve(load_job(job)), found)
    elsewhere = resolve(load_job(job, ["execution.engine=htcondor", "execution.site=nrao"]))
    (told,) = judge(elsewhere, found)
    assert "was not looked into: CASA cannot be imported" in told
