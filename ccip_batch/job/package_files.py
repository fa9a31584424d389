"""Files that are data of the package: submit descriptions, site profiles, job configs.

They stand beside the package in a checkout and below `ccip_batch/_files` in an installed wheel.
"""

from __future__ import annotations

from pathlib import Path

from ccip_batch.errors import RunFolderError

_PACKAGE = Path(__file__).parents[1]


def data_folder(name: str) -> Path:
    """The folder `condor`, `configs` or `container`. Raises RunFolderError if the installation lacks it."""
    for folder in (_PACKAGE / "_files" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise RunFolderError(f"this installation of ccip_batch lacks its files {name}/. Install it again.")
