"""Cells: numbers, and the shading of outliers."""

from __future__ import annotations

from ccip_batch.report.tables import LEVELS, limits, number, shade


def test_outliers_are_shaded_by_robust_sigma() -> None:
    usual = [1.0, 1.1, 0.9, 1.05, 0.95, 1.02, 0.98]  # median 1, median deviation 0.05
    sigma = 0.05 * 1.4826
    marked = shade([number(value) for value in [*usual, 1 + 3.2 * sigma, 1 - 30 * sigma]])
    assert [cell.level for cell in marked[: len(usual)]] == [0] * len(usual)
    assert marked[-1].level == max(LEVELS)
    assert marked[-2].level in LEVELS[:2] and "sigma" in marked[-2].tip


def test_where_more_is_worse_less_is_no_outlier() -> None:
    values = [number(value) for value in (1.0, 1.1, 0.9, 1.05, 0.95, 9.0, 0.0)]
    marked = shade(values, more_is_worse=True)
    assert [cell.level for cell in marked] == [0, 0, 0, 0, 0, max(LEVELS), 0]
    assert marked[-1].deviation == 0 and shade(values)[-1].level == max(LEVELS)


def test_few_or_equal_values_are_never_shaded() -> None:
    assert {cell.level for cell in shade([number(v) for v in (1.0, 1.1, 99.0)])} == {0}
    assert {cell.level for cell in shade([number(v) for v in (1.0, 1.0, 1.0, 1.0, 7.0)])} == {0}


def test_scales_take_part() -> None:
    frequency = [2.0, 2.5, 3.0, 3.5, 4.0]
    beams = [number(80 / f * (1 + 0.01 * i)) for i, f in enumerate(frequency)]
    assert {cell.level for cell in shade(beams, frequency)} == {0}


def test_missing_numbers() -> None:
    assert number(None).text == "–" and number(float("nan")).sort is None
    assert number(0.00123, ".3g", 1e3).text == "1.23"


def test_limits() -> None:
    assert limits(11, (10, 7.5, 5, 3), below=True) == 0
    assert limits(6, (10, 7.5, 5, 3), below=True) == LEVELS[1]
    assert limits(2, (10, 7.5, 5, 3), below=True) == LEVELS[3]
    assert limits(10, (5, 10, 20, 30), below=False) == LEVELS[1]
    assert limits(None, (5, 10), below=False) == 0
