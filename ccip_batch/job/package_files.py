"""Data files of the package: submit descriptions, site profiles, job configs.

In a checkout they are beside the package, in an installed wheel under `ccip_batch/_files`.
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
    raise RunFolderError(f"this installation of ccip_batch has no folder {name}/. Install it again.")
