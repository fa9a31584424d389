"""The table of planes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from helpers.report_facts import FREQUENCIES, UNEVEN, many_planes

from ccip_batch.report.facts import RunFacts
from ccip_batch.report.plane_table import PlaneTable, plane_table
from ccip_batch.report.tables import LEVELS, Cell


def column(table: PlaneTable, title: str) -> list[Cell]:
    (place,) = [i for i, column in enumerate(table.columns) if column.title == title]
    return [row.cells[place] for row in table.rows]


def test_figures_of_a_real_run(facts: RunFacts) -> None:
    table = plane_table(facts)
    assert all(len(row.cells) == len(table.columns) for row in table.rows)
    assert [cell.text for cell in column(table, "spw")] == ["9", "10", "12+13", "17"]
    assert [cell.text for cell in column(table, "Why")] == ["completely flagged", *["as expected"] * 3]
    assert column(table, "Peak I")[0].text == "–"
    assert column(table, "Flagged")[0].text == "100.0"
    for plane, cell in zip(facts.planes[1:], column(table, "rms V")[1:], strict=True):
        assert plane.cutouts and cell.sort == pytest.approx(1e3 * plane.cutouts.statistics["V"].rms_median)


def test_beams_are_compared_times_frequency(facts: RunFacts) -> None:
    def change(number: int, record: str, result: Any) -> None:
        if record == "makeimages":
            result["beam"]["major_arcsec"] = 60 / FREQUENCIES[number] * UNEVEN[number] * (1.2 if number == 3 else 1)

    levels = [cell.level for cell in column(plane_table(many_planes(facts, change)), "Beam major")]
    assert levels == [LEVELS[-1] if number == 3 else 0 for number in range(len(FREQUENCIES))]


def test_noise_is_compared_times_the_root_of_the_bandwidth(facts: RunFacts) -> None:
    def change(number: int, record: str, result: Any) -> None:
        bandwidth = 2.0 if number == 2 else 1.0
        if record == "target":
            result["bandwidth_hz"] *= bandwidth
        elif record == "makecutoutimages":
            result["statistics"]["Q"]["rms_median"] *= UNEVEN[number] / bandwidth**0.5
            result["statistics"]["U"]["rms_median"] *= UNEVEN[number]

    table = plane_table(many_planes(facts, change))
    assert {cell.level for cell in column(table, "rms Q")} == {0}
    assert [cell.level for cell in column(table, "rms U")].index(LEVELS[-1]) == 2


def test_residual_peaks_are_compared_by_size(facts: RunFacts) -> None:
    def change(number: int, record: str, result: Any) -> None:
        if record == "makecutoutimages":
            residual = result["statistics"]["I"]["residual"]
            residual["peak"] = abs(residual["peak"]) * UNEVEN[number] * (-1 if number == 4 else 1)

    cells = column(plane_table(many_planes(facts, change)), "Residual peak")
    assert {cell.level for cell in cells} == {0}
    assert [cell.text.startswith("-") for cell in cells].index(True) == 4


def test_a_plane_with_less_noise_than_the_others_is_not_shaded(facts: RunFacts) -> None:
    def change(number: int, record: str, result: Any) -> None:
        if record == "makecutoutimages":
            result["statistics"]["Q"]["rms_median"] *= UNEVEN[number] * {3: 0.5, 4: 2.0}.get(number, 1.0)

    levels = [cell.level for cell in column(plane_table(many_planes(facts, change)), "rms Q")]
    assert levels[4] == LEVELS[-1] and levels[3] == 0


def test_suspicion_is_the_largest_deviation_and_planes_that_are_not_kept_come_first(facts: RunFacts) -> None:
    def change(number: int, record: str, result: Any) -> None:
        if record == "target":
            result["flagged_fraction"] = 0.2 * UNEVEN[number] + (0.3 if number == 5 else 0)

    many = many_planes(facts, change)
    rows = plane_table(many).rows
    assert max(rows, key=lambda row: row.suspicion).plane.spw == "5"
    assert rows[5].suspicion == max(abs(cell.deviation) for cell in rows[5].cells) > LEVELS[-1]
    rejected = replace(many, planes=[replace(many.planes[0], state="rejected"), *many.planes[1:]])
    assert max(plane_table(rejected).rows, key=lambda row: row.suspicion).plane.spw == "0"


def test_stop_reasons_are_said_once_if_they_are_the_same(facts: RunFacts) -> None:
    def change(number: int, record: str, result: Any) -> None:
        if record == "makeimages":
            for one in result["iterations"]:
                one["stop_reason"] = "threshold"
            if number:
                result["iterations"][2]["stop_reason"] = "iteration limit"

    cells = column(plane_table(many_planes(facts, change)), "Stopped by")
    assert cells[0].text == "threshold"
    assert cells[1].text == "iter1 threshold; iter2 iteration limit; iter3 threshold"
