"""All plots of a run: their numbers are those of its results."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path

import pytest

from ccip_batch.casa.images import STOKES
from ccip_batch.report.facts import RunFacts
from ccip_batch.report.plots import Plot, Plots, convergence, gantt, make_plots


@pytest.fixture(scope="module")
def made(facts: RunFacts, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Plot], Path]:
    folder = tmp_path_factory.mktemp("plots")
    return make_plots(facts, Plots(folder)), folder


def rows(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open() as stream:
        return list(csv.DictReader(stream))


def test_all_plots_are_made(made: tuple[dict[str, Plot], Path]) -> None:
    plots, folder = made
    assert plots.keys() == {"flags", "beams", "rms", "qu", "flux", "rotation", "pb"}
    assert {path.name for path in folder.iterdir()} == {f"{name}.{end}" for name in plots for end in ("svg", "csv")}


def test_flags(made: tuple[dict[str, Plot], Path], facts: RunFacts) -> None:
    assert facts.targets
    found = rows(made[1], "flags")
    assert len(found) == 4 * len(facts.targets.flags.fields)
    assert {row["flagged_fraction"] for row in found if row["spw_group"] == "9"} <= {"1.0", ""}
    assert "Fields within 1800 arcsec" in made[0]["flags"].text


def test_beams(made: tuple[dict[str, Plot], Path], facts: RunFacts) -> None:
    found = {row["spw"]: row for row in rows(made[1], "beams")}
    for plane in facts.planes[1:]:
        assert plane.images and plane.judgement
        row = found[plane.spw]
        assert float(row["major_arcsec"]) == plane.images.beam.major_arcsec
        assert float(row["expected_minor_arcsec"]) == plane.judgement.expected_minor_arcsec


def test_noise(made: tuple[dict[str, Plot], Path], facts: RunFacts) -> None:
    found = {row["spw"]: row for row in rows(made[1], "rms")}
    assert found.keys() == {"10", "12,13", "17"}
    for plane in facts.planes[1:]:
        assert plane.cutouts
        for stokes in STOKES:
            expected = 1e3 * plane.cutouts.statistics[stokes].rms_median
            assert float(found[plane.spw][f"rms_median_{stokes}_mjy_beam"]) == pytest.approx(expected)


def test_primary_beam(made: tuple[dict[str, Plot], Path]) -> None:
    for spw in ("10", "12,13", "17"):
        assert 0 < sum(float(row["fraction"]) for row in rows(made[1], "pb") if row["spw"] == spw) <= 1 + 1e-9


def test_fluxes_and_their_fit(made: tuple[dict[str, Plot], Path], facts: RunFacts) -> None:
    assert facts.analysis
    place = facts.analysis.stokes.places[0]  # both places of this run are one pixel
    law = place.power_law
    assert law and f": I at 3 GHz {law.flux_jy * 1e3:.4g}" in made[0]["flux"].text
    for row, plane in zip(rows(made[1], "flux"), place.planes, strict=True):
        assert float(row["i_mjy_beam"]) == pytest.approx(1e3 * (plane.pixel["I"] or 0))
        fit = 1e3 * law.flux_jy * (plane.frequency_hz / 3e9) ** law.alpha
        assert float(row["fit_mjy_beam"]) == pytest.approx(fit)


def test_polarisation(made: tuple[dict[str, Plot], Path], facts: RunFacts) -> None:
    assert facts.analysis
    planes = facts.analysis.stokes.places[0].planes
    for row, plane in zip(rows(made[1], "qu"), planes, strict=True):
        intensity, q = plane.pixel["I"], plane.pixel["Q"]
        assert intensity and q and float(row["q_over_i"]) == pytest.approx(q / intensity)
        noise = (plane.rms_median["Q"] + plane.rms_median["U"]) / 2
        assert float(row["error"]) == pytest.approx(noise / intensity)
    for row, qu in zip(rows(made[1], "rotation"), rows(made[1], "qu"), strict=True):
        assert float(row["fraction"]) == pytest.approx((float(qu["q_over_i"]) ** 2 + float(qu["u_over_i"]) ** 2) ** 0.5)
        assert abs(float(row["fit_deg"]) - float(row["angle_deg"])) < 4 * float(row["angle_error_deg"])
    told = re.search(r"RM ([+-][\d.]+) ± ([\d.]+) rad/m²", made[0]["rotation"].text)
    assert told and abs(float(told[1]) - 35.0) < 3 * float(told[2]) < 45  # source A's


def test_places_that_are_one_pixel_are_drawn_once(facts: RunFacts, tmp_path: Path) -> None:
    assert facts.analysis
    first, second = facts.analysis.stokes.places
    for x, number in ((first.x, 1), (first.x + 1, 2)):
        places = [first, second.model_copy(update={"x": x, "y": first.y})]
        stokes = facts.analysis.stokes.model_copy(update={"places": places})
        plots = make_plots(
            replace(facts, analysis=facts.analysis.model_copy(update={"stokes": stokes})), Plots(tmp_path / str(x))
        )
        assert (
            len({row["place"] for name in ("qu", "flux", "rotation") for row in rows(tmp_path / str(x), name)})
            == number
        )
        assert ("the same pixel" in plots["qu"].text) == (number == 1)


def test_the_grey_area_is_spoken_of_where_it_is(facts: RunFacts, tmp_path: Path) -> None:
    assert facts.analysis
    (place, *_) = facts.analysis.stokes.places
    for factor, said in ((1.0, False), (0.001, True)):
        planes = [row.model_copy(update={"pixel": row.pixel | {"I": 1.0 * factor}}) for row in place.planes]
        stokes = facts.analysis.stokes.model_copy(update={"places": [place.model_copy(update={"planes": planes})]})
        changed = replace(facts, analysis=facts.analysis.model_copy(update={"stokes": stokes}))
        text = make_plots(changed, Plots(tmp_path / str(factor)))["flux"].text
        assert ("grey area" in text) == said, text


def test_convergence(facts: RunFacts, tmp_path: Path) -> None:
    plane = facts.planes[1]
    assert plane.images
    plot = convergence(plane, plane.images.iterations, Plots(tmp_path))
    assert plot and plot.name == "convergence_spw10"
    found = rows(tmp_path, plot.name)
    cleaned = [one for one in plane.images.iterations[1:] if one.iterations]
    assert cleaned and {row["iteration"] for row in found} == {str(one.iteration) for one in cleaned}
    for one in cleaned:
        peaks = [float(row["peak_residual_mjy_beam"]) for row in found
                 if row["iteration"] == str(one.iteration) and row["stokes"] == "I"]  # fmt: skip
        assert peaks == pytest.approx([1e3 * peak for peak in one.convergence["I"].peak_residual_jy])
    assert convergence(plane, plane.images.iterations[:1], Plots(tmp_path)) is None


def test_time_line(facts: RunFacts, failed: RunFacts, tmp_path: Path) -> None:
    plot = gantt(list(facts.nodes.values()), Plots(tmp_path))
    assert plot
    found = rows(tmp_path, plot.name)
    stages = [(name, record.name) for name, node in facts.nodes.items() for record in node.records]
    assert [(row["node"], row["stage"]) for row in found] == stages
    assert min(float(row["start_s"]) for row in found) >= 0
    assert "Drawn before publish had ended" not in plot.text
    without = [replace(node, result=None) if node.node.kind == "publish" else node for node in facts.nodes.values()]
    drawn_by_publish = gantt(without, Plots(tmp_path))
    assert drawn_by_publish and "Drawn before publish had ended" in drawn_by_publish.text
    waiting = [node for node in failed.nodes.values() if node.state == "blocked"]
    assert gantt(waiting, Plots(tmp_path)) is None


def test_nothing_to_plot(failed: RunFacts, tmp_path: Path) -> None:
    assert make_plots(failed, Plots(tmp_path)) == {}
    assert not list(tmp_path.iterdir())
