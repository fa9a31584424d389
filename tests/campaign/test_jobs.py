"""The job config of a square: the template with what its row says."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from helpers.campaigns import TEMPLATE, make_campaign, write_table
from helpers.input_files import ROOT

from ccip_batch.campaign.config import load_campaign
from ccip_batch.campaign.jobs import products_folder, square_job, write_square_job
from ccip_batch.campaign.table import find_square
from ccip_batch.errors import CcipError, ConfigError
from ccip_batch.job.config import load_job
from ccip_batch.job.problems import Problem


def job_of(folder: Path, name: str) -> Path:
    campaign = load_campaign(folder)
    return write_square_job(campaign, find_square(campaign.config.table, name))


def problems_of(folder: Path, name: str) -> list[Problem]:
    campaign, problems = load_campaign(folder), list[Problem]()
    square_job(campaign, find_square(campaign.config.table, name), problems)
    return problems


def test_a_row_wins_over_the_template(tmp_path: Path) -> None:
    config = TEMPLATE + "  imaging: {niter: 5, robust: 0.5}\n"
    folder = make_campaign(tmp_path, ['a,100,"[2, 3]"', "b,,"], config, "name,imaging.niter,imaging.iter3.scales")
    first, second = load_job(job_of(folder, "a")), load_job(job_of(folder, "b"))
    assert (first.imaging.niter, first.imaging.robust) == (100, 0.5)
    assert (second.imaging.niter, second.imaging.robust) == (5, 0.5)


def test_paths_of_the_job_are_absolute(tmp_path: Path) -> None:
    folder = make_campaign(tmp_path, ["a,other/x.ms"], header="name,vis")
    inputs = yaml.safe_load(job_of(folder, "a").read_text())["inputs"]
    assert inputs["vis"] == str(tmp_path / "other" / "x.ms")
    assert inputs["ccip_parameter_list"] == str(tmp_path / "lists" / "a.list")


def test_a_pattern_stands_for_the_one_file_of_such_a_name(tmp_path: Path) -> None:
    folder = make_campaign(tmp_path, ["a"], TEMPLATE.replace(f"in/{ROOT}.ms", "in/*.ms"))
    assert load_job(job_of(folder, "a")).inputs.vis == tmp_path / "in" / f"{ROOT}.ms"
    (tmp_path / "in" / "second.ms").mkdir()
    (problem,) = [one for one in problems_of(folder, "a") if "stands for" in one.wrong]
    assert "stands for 2 files" in problem.wrong and "row 1 (a)" in problem.where and problem.key == "inputs.vis"


@pytest.mark.parametrize(
    ("column", "cell", "where", "wrong"),
    [
        ("imaging.niter", "many", "row 1 (a)", "imaging.niter"),
        ("imaging.nitre", "5", "row 1 (a)", "unknown key"),
        ("imaging", "x", "", ""),
        ("imaging.niter.deep", "5", "row 1 (a)", "niter"),
        ("imaging.niter", "[1", "row 1 (a)", ""),
    ],
)
def test_a_wrong_cell_is_named_by_row_and_column(
    tmp_path: Path, column: str, cell: str, where: str, wrong: str
) -> None:
    folder = make_campaign(tmp_path, [f"a,{cell}"], TEMPLATE + "  imaging: {niter: 5}\n", f"name,{column}")
    problems = problems_of(folder, "a")
    assert bool(problems) == bool(where)
    assert all(where in problem.where and wrong in f"{problem.key} {problem.wrong}" for problem in problems)


def test_what_is_wrong_in_the_template_is_named_there(tmp_path: Path) -> None:
    folder = make_campaign(tmp_path, ["a"], TEMPLATE + "  imaging: {nitre: 5}\n")
    (problem,) = problems_of(folder, "a")
    assert problem.where == f"{tmp_path / 'campaign.yaml'}:9"


@pytest.mark.parametrize(("cell", "says"), [("", "nothing in"), ("../..", "leaves its folder")])
def test_a_column_of_the_products_must_hold_something_that_stays(tmp_path: Path, cell: str, says: str) -> None:
    folder = make_campaign(tmp_path, [f"a,{cell}"], TEMPLATE + "products: out/{where}/{name}\n", "name,where")
    campaign = load_campaign(folder)
    with pytest.raises(ConfigError, match=says):
        products_folder(campaign, find_square(campaign.config.table, "a"))


def test_products_have_a_folder_of_the_row(tmp_path: Path) -> None:
    folder = make_campaign(tmp_path, ["a,T10t02"], TEMPLATE + "products: out/{tile}/{name}\n", "name,tile")
    campaign = load_campaign(folder)
    assert products_folder(campaign, find_square(campaign.config.table, "a")) == tmp_path / "out" / "T10t02" / "a"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        ("table: t.csv\n", "job: is missing"),
        ("table: t.csv\njob: {}\nbounds: {square: 3}\n", "Did you mean squares"),
        ("table: t.csv\njob: {}\nbounds: {squares: 0}\n", "bounds.squares"),
        ("table: t.csv\njob: [x]\n", "job"),
        ("table: t.csv\njob: {}\nkeep: none\n", "keep"),
    ],
)
def test_a_wrong_campaign_config_is_refused_by_key_and_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "campaign.yaml").write_text(text)
    with pytest.raises(CcipError, match=says) as caught:
        load_campaign(tmp_path)
    assert "campaign.yaml" in str(caught.value)


def test_a_campaign_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CcipError, match="nowhere is not there"):
        load_campaign(tmp_path / "nowhere")


def test_a_folder_without_a_campaign_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CcipError, match="has no campaign"):
        load_campaign(tmp_path)


def test_a_file_of_another_name_is_no_campaign(tmp_path: Path) -> None:
    folder = make_campaign(tmp_path, ["a"])
    (folder / "campaign.yaml").rename(folder / "epoch2.yaml")
    with pytest.raises(CcipError, match="is called campaign"):
        load_campaign(folder / "epoch2.yaml")


@pytest.mark.parametrize("where", ["squares/{tile}/{name}/nodes", "dag", "squares/../dag/x"])
def test_products_are_not_put_where_much_is_removed(tmp_path: Path, where: str) -> None:
    campaign = load_campaign(make_campaign(tmp_path, ["a"], TEMPLATE + f"products: {where}\n"))
    with pytest.raises(ConfigError, match="where much is removed"):
        products_folder(campaign, find_square(campaign.config.table, "a"))


@pytest.mark.parametrize("products", [r'"out\0/{name}"', "out/" + "x" * 300 + "/{name}"])
def test_products_that_no_folder_can_have_are_told(tmp_path: Path, products: str) -> None:
    campaign = load_campaign(make_campaign(tmp_path, ["a"], TEMPLATE + f"products: {products}\n"))
    with pytest.raises(ConfigError, match=r"row 1 .a.: products: .* cannot be the name of a folder"):
        products_folder(campaign, find_square(campaign.config.table, "a"))


@pytest.mark.parametrize("path", ["~nosuch-user/x.ms", "in/**x/*.ms"])
def test_a_path_that_python_does_not_take_is_a_problem_of_its_row(tmp_path: Path, path: str) -> None:
    folder = make_campaign(tmp_path, ["a"], TEMPLATE.replace(f"in/{ROOT}.ms", path))
    problems = problems_of(folder, "a")
    assert all("row 1 (a)" in problem.where for problem in problems) and bool(problems) == ("*" in path)
    write_table(folder, ["a,~nosuch-user/x.ms"], "name,vis")
    assert not problems_of(folder, "a")  # that it is not there is found later


def test_a_cell_in_a_pattern_stands_for_itself(tmp_path: Path) -> None:
    folder = make_campaign(tmp_path, ["a,in[1]"], TEMPLATE.replace(f"in/{ROOT}.ms", "'{where}/*.ms'"), "name,where")
    (folder / "in").rename(folder / "in[1]")
    assert not [problem for problem in problems_of(folder, "a") if problem.key == "inputs.vis"]
