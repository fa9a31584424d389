"""What the planes are made with in the end, from the config, the parameter lists and the defaults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from helpers.input_files import CCIP_LIST, JOB, ROOT, SEIP_LIST, make_job, refused

from ccip_batch.job.config import load_job
from ccip_batch.job.resolve import resolve

CASE = Path(__file__).parents[3] / "shared/reference/case_a"


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


@pytest.mark.parametrize("dec", ["+90.00.00", "-89.59.59.99", "+89.48.00.1"])
def test_a_square_around_a_pole_is_refused(tmp_path: Path, dec: str) -> None:
    both = [text.replace("+16.44.04.255", dec) for text in (CCIP_LIST, SEIP_LIST)]
    message = refused(make_job(tmp_path, ccip=both[0], seip=both[1]))
    for name in ("CCIP", "SEIP"):
        assert f"{tmp_path}/{name}_parameter.list:" in message
    assert "is within 0.2 degrees of a pole" in message and "such as +89.30.00" in message


def test_a_square_beside_a_pole_is_taken(tmp_path: Path) -> None:
    both = [text.replace("+16.44.04.255", "+89.30.00") for text in (CCIP_LIST, SEIP_LIST)]
    assert resolve(load_job(make_job(tmp_path, ccip=both[0], seip=both[1]))).phasecenter.endswith("+89.30.00")


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
