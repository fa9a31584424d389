"""The checks before anything runs: one error for everything that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.input_files import CCIP_LIST, ROOT, TABLES, make_archive, make_job

from ccip_batch.errors import ConfigError, DataError, ResourceError
from ccip_batch.verbs.check import check, check_disk


def test_a_good_job(tmp_path: Path) -> None:
    (tmp_path / "flags.txt").write_text(
        "# extra\n\nmode='manual' spw='3:1~2' scan='2'\nmode=manual antenna='ea01, ea02'\n"
    )
    found = check(make_job(tmp_path, "  flag_commands: flags.txt\n"))
    found.raise_if_wrong()
    assert (found.problems, found.warnings) == ([], [])
    assert found.job is not None
    assert found.resolved is not None
    assert found.resolved.root == ROOT
    assert found.resources is not None
    assert found.resources.tier1_mask == TABLES[0]
    assert not (tmp_path / "run").exists()


def test_warnings_are_no_error(tmp_path: Path) -> None:
    found = check(make_job(tmp_path, ccip=CCIP_LIST + "colour='red'\n"))
    found.raise_if_wrong()
    assert found.warnings == [f"{tmp_path}/CCIP_parameter.list:7: colour: is not used here"]


def test_everything_wrong_is_in_one_error(tmp_path: Path) -> None:
    job = make_job(
        tmp_path,
        "  flag_commands: flags.txt\nexecution:\n  container: image.sif\n",
        ccip=CCIP_LIST + "a=f()\nspw='3'\n",
    )
    (tmp_path / "flags.txt").write_text("mode='manual'\nplease flag this\n")
    (tmp_path / f"{ROOT}.ms/FIELD/table.dat").unlink()
    (tmp_path / "reimaging_resources.tgz").unlink()
    with pytest.raises(ConfigError) as caught:
        check(job).raise_if_wrong()
    for part in (
        "5 problems:",
        f"{job}:3: inputs.reimaging_resources: {tmp_path}/reimaging_resources.tgz does not exist",
        f"{job}:8: execution.container: {tmp_path}/image.sif does not exist",
        f"{job}:2: inputs.vis: {tmp_path}/{ROOT}.ms is incomplete: FIELD/table.dat is missing",
        f"{tmp_path}/flags.txt:2: 'please flag this' is not a flag command",
        f"{tmp_path}/CCIP_parameter.list:7: a: is a call",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("key", ["vis", "reimaging_resources", "seip_parameter_list", "ccip_parameter_list"])
def test_a_missing_file_is_named_with_its_key(tmp_path: Path, key: str) -> None:
    job = make_job(tmp_path)
    found = check(job, [f"inputs.{key}=gone"])
    assert [str(problem) for problem in found.problems] == [
        f"command line: inputs.{key}: {tmp_path}/gone does not exist. Correct the path, or put the file there."
    ]


def test_a_file_where_a_folder_is_due_and_the_other_way_round(tmp_path: Path) -> None:
    found = check(make_job(tmp_path), ["inputs.vis=job.yaml", f"inputs.ccip_parameter_list={ROOT}.ms"])
    assert [problem.wrong for problem in found.problems] == [
        f"{tmp_path}/job.yaml is not a folder",
        f"{tmp_path}/{ROOT}.ms is not a file",
    ]


def test_the_root_comes_from_the_name(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    (tmp_path / f"{ROOT}.ms").rename(tmp_path / "data")
    with pytest.raises(ConfigError, match=r"data is not named <root>\.ms"):
        check(job, ["inputs.vis=data"]).raise_if_wrong()


def test_bad_data_alone_are_a_data_error(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    make_archive(tmp_path / "reimaging_resources.tgz", TABLES[2:])
    found = check(job)
    with pytest.raises(DataError) as caught:
        found.raise_if_wrong()
    assert "2 problems:" in str(caught.value)
    assert found.resources is not None
    assert [item.ok for item in found.resources.table] == [False, False, True, True, True, True]

    (tmp_path / "reimaging_resources.tgz").write_bytes(b"no tarball")
    with pytest.raises(DataError, match=r"inputs\.reimaging_resources: .*reimaging_resources\.tgz is not a tarball"):
        check(job).raise_if_wrong()


def test_no_disk_space_for_the_estimate(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"the run needs some 1000000000\.0 GB"):
        check_disk(tmp_path / "a" / "b", 10**18)


def test_what_is_wrong_in_the_config_hides_nothing_that_is_wrong_with_files(tmp_path: Path) -> None:
    """Keys, missing files, contents of files: one error, whatever else is wrong."""
    more = "  flag_commands: nowhere.txt\nimaging:\n  nitr: 3\nexecution:\n  workers: 0\n  container: image.sif\n"
    job = make_job(tmp_path, more, ccip=CCIP_LIST + "a=f()\n")
    make_archive(tmp_path / "reimaging_resources.tgz", TABLES[1:])
    found = check(job, ["inputs.seip_parameter_list=gone.list"])
    assert (found.job, found.resolved) == (None, None)
    assert [(problem.where, problem.key) for problem in found.problems] == [
        (f"{job}:8", "imaging.nitr"),
        (f"{job}:10", "execution.workers"),
        (f"{job}:11", "execution.container"),
        ("command line", "inputs.seip_parameter_list"),
        (f"{job}:6", "inputs.flag_commands"),
        (f"{tmp_path}/CCIP_parameter.list:7", "a"),
    ]
    again = check(job)
    assert [problem.wrong for problem in again.problems if problem.where.endswith(".tgz")] == [
        "tier-1 mask is missing: no table s*_0.VLASS2.1.se.T00t00.J133336+164404.06.512.v1.QLcatmask-tier1.mask"
    ]


@pytest.mark.parametrize("inputs", ["inputs: 3\n", "inputs:\n  vis: [1]\n", "inputs:\n", "execution: [workers]\n"])
def test_sections_of_another_kind(tmp_path: Path, inputs: str) -> None:
    (tmp_path / "job.yaml").write_text(inputs)
    found = check(tmp_path / "job.yaml")
    assert found.problems and all(problem.where.startswith(f"{tmp_path}/job.yaml") for problem in found.problems)


def test_a_wrong_override_is_blamed_on_the_command_line(tmp_path: Path) -> None:
    job = make_job(tmp_path, "imaging:\n  spw: ['2']\n")
    assert [problem.where for problem in check(job, ["imaging.spw=['1']"]).problems] == ["command line"]
    job.write_text(job.read_text().replace("'2'", "'1'"))
    assert [problem.where for problem in check(job).problems] == [f"{job}:7"]
