from __future__ import annotations

from typing import Any

from ccip_batch.imaging.convergence import Convergence, joined, read_convergence


def minor(done: list[float], peaks: list[float]) -> dict[str, Any]:
    return {"iterDone": done, "peakRes": peaks, "modelFlux": [0.1 * n for n in done]}


def test_the_course_of_each_stokes_plane_from_tcleans_record() -> None:
    record = {"summaryminor": {0: {0: {0: minor([10.0, 20.0], [0.05, 0.01]), 3: minor([1.0], [0.002])}}}}
    found = read_convergence(record)
    assert list(found) == ["I", "V"]
    assert found["I"] == Convergence(iterations=[10, 20], peak_residual_jy=[0.05, 0.01], model_flux_jy=[1.0, 2.0])
    assert found["V"].peak_residual_jy == [0.002]


def test_a_call_without_minor_cycles_has_no_course() -> None:
    assert read_convergence({}) == {} and read_convergence({"summaryminor": {0: {}}}) == {}


def test_parts_of_a_cleaning_follow_each_other() -> None:
    first = read_convergence({"summaryminor": {0: {0: {0: minor([10.0], [0.05])}}}})
    then = read_convergence({"summaryminor": {0: {0: {0: minor([5.0, 2.0], [0.02, 0.01]), 1: minor([1.0], [0.003])}}}})
    whole = joined(first, then)
    assert whole["I"].iterations == [10, 5, 2] and whole["I"].peak_residual_jy == [0.05, 0.02, 0.01]
    assert whole["Q"].iterations == [1]  # nothing before
    assert joined({}, then) == then
