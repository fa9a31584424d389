"""The job config: what is accepted, what is refused and how, and what the planes are made with in the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.input_files import CCIP_LIST, JOB, ROOT, SEIP_LIST, make_job

from ccip_batch.errors import ConfigError
from ccip_batch.job import options_page
from ccip_batch.job.config import Job, ResolvedJob, load_job
from ccip_batch.job.resolve import resolve

PROJECT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
CASE = PROJECT.parent / "shared/reference/case_a"


def refused(path: Path, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        resolve(load_job(path, overrides))
    return str(caught.value)


@pytest.mark.skipif(not CASE.is_dir(), reason="the reference case is not here")
def test_calls_are_those_of_the_reference(tmp_path: Path) -> None:
    figures = json.loads((CASE / "expected/figures.json").read_text())
    inputs = CASE / "input"
    job = tmp_path / "job.yaml"
    job.write_text(JOB.replace(ROOT, figures["root"]).replace(": ", f": {inputs}/"))
    resolved = resolve(load_job(job))

    of_the_data = {"vis", "imagename", "field", "spw", "scan", "mask"}

    def recorded(call: dict[str, Any], leave_out: set[str]) -> dict[str, Any]:
        return {key: value for key, value in call["args"].items() if key not in leave_out}

    for n, call in enumerate(figures["planes"]["10"]["calls"]):
        expected = recorded(call, of_the_data | {"reffreq"})
        if n == 0:
            assert expected["restoration"] is True
            expected["restoration"] = False  # that image would be the residual
        assert resolved.iteration(n) == expected
    assert resolved.prediction() == recorded(figures["restore_tclean_calls"][0], of_the_data)
    assert resolved.root == figures["root"]
    assert resolved.imagename == figures["imagename_cc"]
    assert [group.selection for group in resolved.groups] == [str(spw) for spw in range(2, 18)]


def test_defaults_are_those_of_the_mode(tmp_path: Path) -> None:
    name_only = "\n".join(CCIP_LIST.splitlines()[:3])
    resolved = resolve(load_job(make_job(tmp_path, ccip=name_only, seip="\n".join(SEIP_LIST.splitlines()[:3]))))
    calls = [resolved.iteration(n) for n in range(4)]
    assert [call["niter"] for call in calls] == [0, 20000, 20000, 20000]
    assert [call["nsigma"] for call in calls] == [2.0, 3.0, 3.0, 4.5]
    assert [call["cycleniter"] for call in calls] == [500, 500, 500, 100]
    assert [call.get("usemask") for call in calls] == [None, "user", "user", "pb"]
    assert all(call["imsize"] == [12500, 12500] and call["cell"] == "0.6arcsec" for call in calls)
    assert resolved.prediction()["uvtaper"] == ["2.6476arcsec"]
    assert resolved.science_spws == tuple(range(2, 18))
    assert len(resolved.groups) == 16


def test_what_is_said_last_wins(tmp_path: Path) -> None:
    """default < parameter list < job config < command line"""
    nothing = make_job(tmp_path / "a", ccip=CCIP_LIST.replace("niter=200", ""))
    by_list = make_job(tmp_path / "b")
    by_config = make_job(tmp_path / "c", "imaging:\n  niter: 300\n")
    assert resolve(load_job(nothing)).iteration(2)["niter"] == 20000
    assert resolve(load_job(by_list)).iteration(2)["niter"] == 200
    assert resolve(load_job(by_config)).iteration(2)["niter"] == 300
    assert resolve(load_job(by_config, ["imaging.niter=400"])).iteration(2)["niter"] == 400


def test_prediction_follows_the_same_order(tmp_path: Path) -> None:
    job = make_job(tmp_path, "prediction:\n  robust: -1\n")
    resolved = resolve(load_job(job, ["prediction.uvtaper=3 arcsec"]))
    call = resolved.prediction()
    assert (call["robust"], call["uvtaper"], call["imsize"]) == (-1.0, ["3arcsec"], [512, 512])
    assert (call["niter"], call["reffreq"], call["nterms"]) == (0, "3.0GHz", 2)
    assert "uvtaper" not in resolve(load_job(job, ["prediction.uvtaper=[]"])).prediction()
    assert resolved.iteration(1)["robust"] == 1.0


def test_a_scalar_is_for_all_cleaning_iterations_and_a_section_for_one(tmp_path: Path) -> None:
    job = make_job(tmp_path, "imaging:\n  nsigma: 5\n  robust: 0.5\n  iter3:\n    nsigma: 6\n  pbmask: 0.3\n")
    calls = [resolve(load_job(job)).iteration(n) for n in range(4)]
    assert [call["nsigma"] for call in calls] == [2.0, 5.0, 5.0, 6.0]
    assert [call["robust"] for call in calls] == [0.5] * 4
    assert [call.get("pbmask") for call in calls] == [None, None, None, 0.3]


@pytest.mark.parametrize("place", ["list", "config"])
def test_only_its_own_key_changes_cycleniter_of_iter3(tmp_path: Path, place: str) -> None:
    def job(folder: str, *lines: str) -> Path:
        if place == "list":
            return make_job(tmp_path / folder, ccip=CCIP_LIST + "".join(f"{key}\n" for key in lines))
        return make_job(tmp_path / folder, "imaging:\n" + "".join(f"  {key.replace('=', ': ')}\n" for key in lines))

    def cycles(path: Path) -> list[int]:
        return [resolve(load_job(path)).iteration(n)["cycleniter"] for n in (1, 2, 3)]

    assert cycles(job("a", "cycleniter=70")) == [70, 70, 100]
    assert cycles(job("b", "cycleniter=70", "cycleniter_final_image_nomask=30")) == [70, 70, 30]
    assert cycles(job("c", "cycleniter_final_image_nomask=30")) == [500, 500, 30]


def test_cycleniter_of_iter3_is_given_once(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    one = "imaging.iter3.cycleniter=20"
    assert resolve(load_job(job, [one])).iteration(3)["cycleniter"] == 20
    assert "Keep one" in refused(job, one, "imaging.cycleniter_final_image_nomask=30")


@pytest.mark.parametrize(
    ("given", "groups"),
    [
        ("['2', '3,4']", ["2", "3,4"]),
        ("[2, ' 3, 4 ', ' 5']", ["2", "3,4", "5"]),
        ("['17', '2']", ["17", "2"]),
    ],
)
def test_spw_is_put_right(tmp_path: Path, given: str, groups: list[str]) -> None:
    resolved = resolve(load_job(make_job(tmp_path, f"imaging:\n  spw: {given}\n")))
    assert [group.selection for group in resolved.groups] == groups


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("'3'", ["is not a list", "['2', '3,4']"]),
        ("3", ["is not a list"]),
        ("['1~4']", ["'1~4' is a range", "['1', '2', '3', '4']", "['1,2,3,4']"]),
        ("['2:0~15']", ["'2:0~15' selects channels", "'2'"]),
        ("['3,3']", ["twice"]),
        ("['3', '4,3']", ["spw 3 is in two groups, '3' and '4,3'"]),
        ("[2.5]", ["2.5 is neither"]),
        ("[true]", ["neither"]),
        ("['']", ["is not a list of spw numbers"]),
        ("[-1]", ["is not a list of spw numbers"]),
        ("[]", ["is empty"]),
        ("['1~4', '2:0~15']", ["is a range", "selects channels"]),
        ("['1', '18']", ["spws [1, 18] are not among those of SE-CONT"]),
    ],
)
@pytest.mark.parametrize("place", ["list", "config"])
def test_spw_is_refused(tmp_path: Path, given: str, says: list[str], place: str) -> None:
    if place == "list":
        job = make_job(tmp_path, ccip=f"{CCIP_LIST}spw={given.replace('true', 'True')}\n")
        where = "CCIP_parameter.list"
    else:
        job = make_job(tmp_path, f"imaging:\n  spw: {given}\n")
        where = "job.yaml:7: imaging.spw" if "not among" not in says[0] else "the job config: imaging.spw"
    message = refused(job)
    assert all(part in message for part in [where, *says]), message


def test_all_problems_are_in_one_error(tmp_path: Path) -> None:
    job = make_job(
        tmp_path,
        "imaging:\n  spw: ['1~4']\n  nitr: 3\n  robust: 7\n  niter: '20'\n"
        "plane_rejection:\n  before_imaging:\n    apply: 1\nexecution:\n  workers: 0\nsurprise: 1\n",
    )
    job.write_text(job.read_text().replace(f"  vis: {ROOT}.ms\n", ""))
    message = refused(job)
    expected = [
        "8 problems:",
        f"{job}:1: inputs.vis: is missing. The PIMS",
        f"{job}:6: imaging.spw: '1~4' is a range",
        f"{job}:7: imaging.nitr: unknown key. Did you mean niter?",
        f"{job}:8: imaging.robust: 7: input should be less than or equal to 2",
        f"{job}:9: imaging.niter: '20': input should be a valid integer",
        f"{job}:12: plane_rejection.before_imaging.apply: 1: input should be a valid boolean",
        f"{job}:14: execution.workers: 0: input should be greater than or equal to 1",
        f"{job}:15: surprise: unknown key. Known here: inputs, imaging,",
    ]
    assert [line for line in expected if line not in message] == [], message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (JOB + JOB, "job.yaml:6: inputs: is given twice, first on line 1"),
        (JOB + "imaging:\n  niter: 1\n  niter: 2\n", "job.yaml:8: imaging.niter: is given twice, first on line 7"),
        (JOB + "imaging: &a\n  niter: 1\nprediction: *a\n", "job.yaml:6: is used again through an alias"),
        (JOB + "imaging: [\n", "is not valid YAML"),
        ("- inputs\n", "is not a mapping"),
        ("", "job.yaml: is empty. Begin with `inputs:`"),
        ("# nothing yet\n", "job.yaml: is empty. Begin with `inputs:`"),
        (JOB + "imaging: !!python/object/apply:os.getcwd []\n", "is not valid YAML"),
        (JOB + "3: 4\n", "'3' is not a key"),
        (JOB + "imaging:\n  iter0:\n    niter: 3\n", "iter0 makes the dirty image and cleans nothing"),
        (JOB + "imaging:\n  cell: 6\n", "6 is not text. Write a number and its unit, such as '0.6arcsec'"),
        (JOB + "imaging:\n  cell: [6arcsec, 7arcsec]\n", "Pixels are square"),
        (JOB + "imaging:\n  imsize: 513\n", "even number of pixels"),
        (JOB + "imaging:\n  threshold: 3\n", "'0.5mJy'"),
        (JOB + 'imaging:\n  uvrange: "<12km\'; import os"\n', "is not understood"),
        (JOB + "imaging: 3\n", "imaging: 3 is not a section with keys"),
        (JOB + "execution:\n  memory: 12 parsecs\n", "such as '12 GB'"),
        (JOB + "execution:\n  memory: 12\n", "such as '12 GB'"),
        (JOB + "execution:\n  checkpoint_interval: soon\n", "such as '1h'"),
        (JOB + "execution:\n  engine: slurm\n", "input should be 'local' or 'htcondor'"),
        (JOB + "execution:\n  engine: htcondor\n", "execution.site: is missing"),
        (JOB + "execution:\n  site: ../elsewhere\n", "does not have the right form"),
    ],
)
def test_a_config_is_refused(tmp_path: Path, text: str, says: str) -> None:
    job = make_job(tmp_path)
    job.write_text(text)
    message = refused(job)
    assert says in message


def test_numbers_too_long_to_print_are_refused_like_others(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    for key in ("imaging.niter", "imaging.imsize", "imaging.cell", "execution.memory", "execution.checkpoint_interval"):
        assert f"command line: {key}: " in refused(job, f"{key}=0x{'f' * 9000}")


def test_a_config_that_is_not_there(tmp_path: Path) -> None:
    assert "nowhere.yaml: cannot be read" in refused(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("niter", "command line: 'niter' sets no key. Write KEY.SUB=VALUE"),
        ("imaging..niter=3", "sets no key"),
        ("imaging.nitr=3", "command line: imaging.nitr: unknown key"),
        ("imaging.spw=[", "command line: imaging.spw: '[' is not a valid YAML value"),
        ("inputs.vis.name=3", "vis is not a section"),
    ],
)
def test_an_override_is_refused(tmp_path: Path, override: str, says: str) -> None:
    assert says in refused(make_job(tmp_path), override)


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_job(tmp_path / "jobs")
    monkeypatch.chdir(tmp_path)
    job = load_job(Path("jobs/job.yaml"), ["inputs.flag_commands=../flags.txt", "execution.container=image.sif"])
    assert job.inputs.vis == tmp_path / "jobs" / f"{ROOT}.ms"
    assert job.inputs.flag_commands == tmp_path / "flags.txt"
    assert job.execution.container == str(tmp_path / "jobs/image.sif")
    url = "osdf:///ospool/image-1.0.sif"
    assert load_job(Path("jobs/job.yaml"), [f"execution.container={url}"]).execution.container == url


def test_amounts_are_understood(tmp_path: Path) -> None:
    job = make_job(tmp_path, "execution:\n  memory: 12 GB\n  checkpoint_interval: 30min\n")
    assert load_job(job).execution.memory == 12 * 10**9
    assert load_job(job).execution.checkpoint_interval == 1800
    assert load_job(job, ["execution.memory=2 GiB"]).execution.memory == 2 * 2**30
    assert load_job(job, ["execution.checkpoint_interval=1.5h"]).execution.checkpoint_interval == 5400
    assert load_job(job, ["execution.checkpoint_interval=90"]).execution.checkpoint_interval == 90


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("VLASS-SE-CONT", "'VLASS-SE-CONT' is an AW-projection mode"),
        ("VLASS-SE-CONT-AWP-P001", "'VLASS-SE-CONT-AWP-P001' is an AW-projection mode"),
        ("VLASS-QL", "'VLASS-QL' is not an imaging mode that belongs here. It must be 'VLASS-SE-CONT-MOSAIC'"),
    ],
)
def test_modes_that_are_refused(tmp_path: Path, change: str, says: str) -> None:
    message = refused(make_job(tmp_path, seip=SEIP_LIST.replace("VLASS-SE-CONT-MOSAIC", change)))
    assert says in message
    assert "SEIP_parameter.list:3: imaging_mode" in message
    swapped = refused(make_job(tmp_path, ccip=CCIP_LIST.replace("VLASS-SE-CUBE", change)))
    assert "CCIP_parameter.list:3: imaging_mode" in swapped


def test_values_of_a_parameter_list_are_checked(tmp_path: Path) -> None:
    job = make_job(
        tmp_path,
        ccip=CCIP_LIST.replace("niter=200", "niter='many'").replace("VLASS2.1.cc", "../VLASS2.1.cc"),
        seip=SEIP_LIST.replace("phasecenter='J2000 13:33:35.814 +16.44.04.255'", "").replace("2,3,4,5", "2:0~3"),
    )
    message = refused(job)
    assert f"{tmp_path}/CCIP_parameter.list:6: niter: 'many': input should be a valid integer" in message
    assert f"{tmp_path}/CCIP_parameter.list:1: imagename: '../VLASS2.1.cc" in message
    assert f"{tmp_path}/SEIP_parameter.list: phasecenter: is missing" in message
    assert f"{tmp_path}/SEIP_parameter.list:8: spw: '2:0~3,6" in message


def test_an_imagename_has_the_part_that_names_the_object(tmp_path: Path) -> None:
    message = refused(make_job(tmp_path, ccip=CCIP_LIST.replace("VLASS2.1.cc.T00t00.J133336+164404.06.512.v1", "cube")))
    assert "imagename: 'cube'" in message
    assert "fifth" in message


def test_spws_of_the_continuum_may_be_a_range(tmp_path: Path) -> None:
    job = make_job(tmp_path, seip=SEIP_LIST.replace("'2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17'", "'2~4,7'"))
    resolved = resolve(load_job(job))
    assert resolved.science_spws == (2, 3, 4, 7)
    assert [group.selection for group in resolved.groups] == ["2", "3", "4", "7"]


def test_a_key_that_is_not_used_gives_a_warning(tmp_path: Path) -> None:
    seip = SEIP_LIST.replace("16.44", "16.45") + "nterms=1\ncfcache='/somewhere'\n"
    ccip = CCIP_LIST + "colour='red'\nnterms=2\ngridder='mosaic'\n"
    warnings = resolve(load_job(make_job(tmp_path, ccip=ccip, seip=seip))).warnings
    assert [warning.removeprefix(f"{tmp_path}/") for warning in warnings] == [
        "CCIP_parameter.list:8: nterms: 2 is not used; this mode always takes 1",
        "CCIP_parameter.list:7: colour: is not used here",
        "the phase centres of the two parameter lists differ: 'J2000 13:33:35.814 +16.45.04.255', "
        "'J2000 13:33:35.814 +16.44.04.255'",
    ]


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


@pytest.mark.parametrize("path", sorted((PROJECT / "configs").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_examples_load(path: Path) -> None:
    job = load_job(path)
    is_pool = path.stem in ("nrao", "ospool")
    assert (job.execution.engine, job.execution.site) == (("htcondor", path.stem) if is_pool else ("local", None))


def test_the_option_page_tells_the_truth() -> None:
    """After a change of an option: `python -m ccip_batch.job.options_page > docs/config.md`."""
    assert (PROJECT / "docs/config.md").read_text() == options_page.page()


def test_every_option_is_described() -> None:
    schema = options_page.schema()
    sections = [schema, *schema["$defs"].values()]
    for section in sections:
        assert section["additionalProperties"] is False
        for name, item in section["properties"].items():
            assert item["description"].endswith("."), name
    described = {key.split(".")[0] for key, *_ in options_page.options()}
    assert described == set(Job.model_fields)
