"""The checks before anything runs: one error for everything that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from job_folder import CCIP_LIST, ROOT, TABLES, make_archive, make_job

from ccip_batch.errors import ConfigError, DataError, ResourceError
from ccip_batch.validate import check, check_disk


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
        f"{job}:3: inputs.reimaging_resources: {tmp_path}/reimaging_resources.tgz is not there",
        f"{job}:8: execution.container: {tmp_path}/image.sif is not there",
        f"{job}:2: inputs.vis: {tmp_path}/{ROOT}.ms is no measurement set, it lacks FIELD/table.dat",
        f"{tmp_path}/flags.txt:2: 'please flag this' is no flag command",
        f"{tmp_path}/CCIP_parameter.list:7: a: is a call",
    ):
        assert part in str(caught.value)


@pytest.mark.parametrize("key", ["vis", "reimaging_resources", "seip_parameter_list", "ccip_parameter_list"])
def test_a_missing_file_is_named_with_its_key(tmp_path: Path, key: str) -> None:
    job = make_job(tmp_path)
    found = check(job, [f"inputs.{key}=gone"])
    assert [str(problem) for problem in found.problems] == [
        f"command line: inputs.{key}: {tmp_path}/gone is not there. Correct the path, or put it there."
    ]


def test_a_file_where_a_folder_is_due_and_the_other_way_round(tmp_path: Path) -> None:
    found = check(make_job(tmp_path), ["inputs.vis=job.yaml", f"inputs.ccip_parameter_list={ROOT}.ms"])
    assert [problem.wrong for problem in found.problems] == [
        f"{tmp_path}/job.yaml is no folder",
        f"{tmp_path}/{ROOT}.ms is no file",
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
    with pytest.raises(DataError, match=r"inputs\.reimaging_resources: .*reimaging_resources\.tgz is no tarball"):
        check(job).raise_if_wrong()


def test_no_disk_space_for_the_estimate(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"the run needs some 1000000000\.0 GB"):
        check_disk(tmp_path / "a" / "b", 10**18)


def test_a_wrong_config_is_all_that_is_told(tmp_path: Path) -> None:
    found = check(make_job(tmp_path, "imaging:\n  nitr: 3\n"))
    assert (found.job, found.resolved, found.resources) == (None, None, None)
    assert [problem.key for problem in found.problems] == ["imaging.nitr"]
