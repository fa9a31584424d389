"""The FITS files of simulated jobs hold the sky that was put in: three seeds of noise, phases and interference."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.simulated_runs import make_run, make_simulation

from ccip_batch.simulate.recovery import noise, print_table, recover


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_was_put_in_is_recovered(seed: int) -> None:
    job = make_simulation("demo", seed)
    products: Path = make_run(job, "products") / "products"
    rows = [*recover(products, job.parent / "truth.json"), *noise(products, job.parent / "truth.json")]
    print_table(rows)
    assert [f"{row.source} {row.quantity}" for row in rows if not row.passed] == []
