"""Cubes that cannot be finished."""

from __future__ import annotations

from pathlib import Path

import pytest
from skies import NAME, Sky, write_plane

from ccip_batch.cube.cubes import Options, make_cube


def test_no_cube_has_its_name_before_the_last_file_is_written(tmp_path: Path) -> None:
    """So that the same command can be given again."""
    planes, out, last = tmp_path / "planes", tmp_path / "out", f"{NAME}.noise.txt"
    planes.mkdir()
    write_plane(planes, 2, Sky([]))
    (out / last / "in its place").mkdir(parents=True)
    with pytest.raises(OSError, match=last):
        make_cube(planes, out, Options(overwrite=True))
    assert [path.name for path in out.iterdir()] == [last]
