"""The personal pool for these tests. They run only if CCIP_POOL_TEST is set, as `make pool-test` does.

The pool is set up by condor/pool/pool.py under the name pool-test (or in CCIP_POOL, if set) and stopped at the end.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from running_pool import RunningPool, call


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("CCIP_POOL_TEST"):
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="needs a pool: make pool-test"))


@pytest.fixture(scope="session")
def pool() -> Iterator[RunningPool]:
    """The pool, started for the session; nothing may be left in its queue, and no process of it after its end."""
    call("down")  # one that a killed session left
    call("job-python")
    call("up", "--memory-policy")
    for how in ((), ("-forcex",)):  # jobs of a killed session would be started again
        call("run", "--", "condor_rm", "-all", *how, check=False)
    try:
        keys = ("CCIP_POOL", "CCIP_POOL_WORK", "CCIP_JOB_PYTHON")
        code = f"import json, os; print(json.dumps([os.environ[key] for key in {keys}]))"
        folder, work, python = map(Path, json.loads(call("run", "--", "/usr/bin/python3", "-c", code).stdout))
        yield RunningPool(folder, work, python / "bin" / "python")
    finally:
        call("down")
