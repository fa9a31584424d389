"""The personal pool for these tests. They run only if CCIP_POOL_TEST is set, as `make pool-test` does, and pytest is
called with this folder.

The pool is set up by condor/pool/pool.py under the name pool-test (or in CCIP_POOL, if set), once for all processes of
pytest, and stopped at the end. With CCIP_POOL_SUITE=sid it is one of the newest HTCondor, named pool-test-sid, where
the tests marked `both` run, too.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from running_pool import RunningPool, call

WANTED = bool(os.environ.get("CCIP_POOL_TEST"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if WANTED:
        return
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason="needs a pool: make pool-test"))


def is_worker(session: pytest.Session) -> bool:
    """Whether this is a process that another one of pytest started, to run tests beside others."""
    return hasattr(session.config, "workerinput")


def pytest_sessionstart(session: pytest.Session) -> None:
    if not WANTED or is_worker(session) or session.config.option.collectonly:
        return
    session.config.add_cleanup(lambda: call("down"))  # also if it does not come to a test
    try:
        call("down")  # one that a killed session left
        call("job-python")
        call("up", "--memory-policy")
        for how in ((), ("-forcex",)):  # jobs of a killed session would be started again
            call("run", "--", "condor_rm", "-all", *how, check=False)
    except AssertionError as error:
        pytest.exit(str(error), returncode=1)


@pytest.fixture(scope="session")
def pool() -> RunningPool:
    """The pool, which runs."""
    return RunningPool.present()
