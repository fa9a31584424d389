from __future__ import annotations

from datetime import date
from typing import Any

from ccip_batch.casa.measures import MJD_ZERO, Reach


def test_the_tables_reach_beyond_the_survey_and_predictions_beyond_what_was_measured(
    session_cases: dict[str, Any],
) -> None:
    found = Reach.model_validate(session_cases["measures"])
    assert date(2025, 1, 1) < found.measured < found.predicted < date(2035, 1, 1)


def test_days_count_from_the_beginning_of_the_modified_julian_date() -> None:
    assert (date(2000, 1, 1) - MJD_ZERO).days == 51544
