"""The job config: what is read, what is refused, and what a resolved job is written as."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.input_files import make_job, refused

from ccip_batch.errors import ConfigError
from ccip_batch.job import tclean_table
from ccip_batch.job.config import CleanParameters, ImageParameters, PlaneParameters, ResolvedJob, load_job, read_job
from ccip_batch.job.problems import Problem
from ccip_batch.job.resolve import resolve

PROJECT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"


def test_cycleniter_of_iter3_is_given_once(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    one = "imaging.iter3.cycleniter=20"
    assert resolve(load_job(job, [one])).iteration(3)["cycleniter"] == 20
    assert "Keep one" in refused(job, one, "imaging.cycleniter_final_image_nomask=30")


def test_a_pool_needs_a_site(tmp_path: Path) -> None:
    message = refused(make_job(tmp_path, "execution:\n  engine: htcondor\n"))
    assert f"{tmp_path}/job.yaml:7: execution.site: is missing. Name a site profile" in message


def test_what_is_right_is_kept_beside_what_is_wrong(tmp_path: Path) -> None:
    """So that files can be looked at and the image be tried although the job has mistakes."""
    problems: list[Problem] = []
    found = read_job(make_job(tmp_path, "  flag_commands: 3\nexecution:\n  workers: 0\n  keep: all\n"), (), problems)
    assert found is not None and found.job is None
    assert [problem.key for problem in problems] == ["inputs.flag_commands", "execution.workers"]
    assert set(found.inputs) == {"vis", "reimaging_resources", "seip_parameter_list", "ccip_parameter_list"}
    assert (found.execution.keep, found.execution.workers) == ("all", None)


def test_a_config_that_is_not_there(tmp_path: Path) -> None:
    assert "nowhere.yaml: cannot be read" in refused(tmp_path / "nowhere.yaml")


def test_the_resolved_job_is_written_and_read_back(tmp_path: Path) -> None:
    job = make_job(tmp_path, "imaging:\n  spw: ['3,4', 2]\n  uvtaper: 20arcsec\nexecution:\n  memory: 12 GB\n")
    resolved = resolve(load_job(job)).model_copy(update={"versions": {"ccip_batch": "1.2.3"}})
    text = resolved.to_yaml()
    assert ResolvedJob.from_yaml(text) == resolved
    assert ResolvedJob.from_yaml(text).to_yaml() == text
    assert text.replace(str(tmp_path), "/folder") == (GOLDEN / "job.resolved.yaml").read_text()
    with pytest.raises(ConfigError, match=r"job\.resolved\.yaml: is damaged"):
        ResolvedJob.from_yaml(text[: len(text) // 2])


def test_what_a_caller_changes_is_its_own(tmp_path: Path) -> None:
    resolved = resolve(load_job(make_job(tmp_path)))
    resolved.iteration(1)["scales"].append(99)
    resolved.prediction()["imsize"][0] = 0
    assert resolved.iteration(1)["scales"] == [0, 5, 12]
    assert resolved.prediction()["imsize"] == [512, 512]


EXAMPLES = sorted(path for path in (PROJECT / "configs").glob("*.yaml") if path.stem != "campaign")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_load(path: Path) -> None:
    job = load_job(path)
    is_pool = path.stem in ("nrao", "ospool")
    assert (job.execution.engine, job.execution.site) == (("htcondor", path.stem) if is_pool else ("local", None))


def test_every_option_of_tclean_reaches_tclean() -> None:
    """A field of the config that the table does not name would be accepted and do nothing."""
    assert set(CleanParameters.model_fields) == set(tclean_table.CLEAN_PARAMETERS)
    assert set(ImageParameters.model_fields) <= set(tclean_table.IMAGE_PARAMETERS) <= set(PlaneParameters.model_fields)
