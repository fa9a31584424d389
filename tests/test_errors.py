"""Errors and their exit codes."""

from __future__ import annotations

import errno

import pytest

from ccip_batch.errors import (
    CasaError,
    CcipError,
    ConfigError,
    DataError,
    ExitCode,
    ResourceError,
    RunFolderError,
    says_disk_is_full,
)


def test_each_kind_of_error_has_an_exit_code_of_its_own() -> None:
    kinds = (CcipError, ConfigError, DataError, RunFolderError, ResourceError, CasaError)
    assert [kind.exit_code for kind in kinds] == [1, 10, 11, 12, 30, 31]


def test_exit_codes_are_those_that_shells_and_pools_can_tell_apart() -> None:
    """From 128 on a shell means signals; 130 is what it gives for Ctrl-C."""
    assert len(set(ExitCode)) == len(ExitCode)
    assert all(0 <= code < 128 or code == 130 for code in ExitCode)


@pytest.mark.parametrize(
    ("number", "full"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EACCES, False), (errno.EROFS, False)]
)
def test_a_full_disk(number: int, full: bool) -> None:
    assert says_disk_is_full(OSError(number, "told")) is full
