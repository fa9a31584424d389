from __future__ import annotations

import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from ccip_batch.casa.measures import Reach
from ccip_batch.casa.probe import Finding, probe_here
from ccip_batch.casa.speed import SelfChecks

REACH = Reach(measured=date(2025, 8, 2), predicted=date(2025, 12, 20))


def warnings(**found: object) -> list[str]:
    return Finding.model_validate({"versions": {}, **found}).warnings()


def test_a_measurement_set_is_probed_for_real(finished: Path) -> None:
    found = probe_here(finished / "nodes" / "restore" / "out" / "spw17.ms")
    assert found is not None and found.reach is not None and found.self_checks is not None
    assert found.observed == date(2020, 8, 5) and found.trouble == ""
    assert {"ccip_batch", "python", "casatools"} <= set(found.versions)
    assert found.reach.measured > found.observed and not [line for line in found.warnings() if "orientation" in line]


def test_paths_that_cannot_be_used_are_named_without_casa(tmp_path: Path) -> None:
    (tmp_path / "there").write_text("")
    paths = [f"r{tmp_path}/there", f"w{tmp_path}", f"r{tmp_path}/gone", f"w{tmp_path}/gone"]
    done = subprocess.run(
        [sys.executable, "-m", "ccip_batch.casa.probe", "", *paths], capture_output=True, text=True, check=True
    )
    found = Finding.read("noise of a library\n" + done.stdout)
    assert found is not None and found.unusable == tuple(paths[2:]) and found.self_checks is None
    assert found.warnings() == []


def test_what_did_not_come_to_its_end_or_is_of_another_version() -> None:
    assert Finding.read("Segmentation fault\n") is None
    found = Finding.read('ccip-batch probe: {"other": 1}')
    assert found is not None and found.versions == {"ccip_batch": "of another version"}


@pytest.mark.parametrize(
    ("observed", "words"),
    [
        (date(2025, 8, 2), None),
        (date(2025, 8, 3), "uses predictions (to 2025-12-20)"),
        (date(2025, 12, 21), "no Earth orientation at all"),
    ],
)
def test_observations_that_the_measures_tables_do_not_cover(observed: date, words: str | None) -> None:
    found = warnings(reach=REACH, observed=observed)
    assert len(found) == (words is not None)
    assert words is None or words in found[0]


def test_what_stays_slow_and_what_could_not_be_read_is_told() -> None:
    (slow,) = warnings(self_checks=SelfChecks(places=0, why_on="another processor"))
    assert "slower" in slow and "another processor" in slow
    assert warnings(self_checks=SelfChecks(places=7)) == []
    (trouble,) = warnings(trouble="no OBSERVATION table")
    assert "no OBSERVATION table" in trouble
