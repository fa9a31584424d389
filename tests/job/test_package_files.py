"""Where the data files of the package are: in a checkout, and in an installed wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccip_batch.errors import RunFolderError
from ccip_batch.job import package_files

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "file"), [("condor", "common.sub"), ("configs", "laptop.yaml"), ("container", "ccip.def")]
)
def test_in_a_checkout_they_stand_beside_the_package(name: str, file: str) -> None:
    assert package_files.data_folder(name) == ROOT / name
    assert (package_files.data_folder(name) / file).is_file()


def test_in_a_wheel_they_stand_inside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a folder beside the installed package is called."""
    monkeypatch.setattr(package_files, "_PACKAGE", tmp_path / "site-packages" / "ccip_batch")
    inside = tmp_path / "site-packages" / "ccip_batch" / "_files" / "condor"
    inside.mkdir(parents=True)
    (tmp_path / "site-packages" / "condor").mkdir()
    assert package_files.data_folder("condor") == inside
    with pytest.raises(RunFolderError, match="has no folder configs/"):
        package_files.data_folder("configs")
