"""Where the large files of a run are on the access point, and under which address the machines of a pool get them.

Some pools take no large file from the home of a user: the OSPool wants those by URL, from folders of the access point
that its data federation serves. A site profile maps such folders to URLs (`urls`). All that is large of a run then has
a place of its own there: the tars that nodes get and give, and nodes, planes and products, to which the run folder has
links. Inputs and the image that are below such a folder go by their own URL, under a second name that has a digest in
it: caches of the federation keep what once had a name.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from ccip_batch.engines.htcondor.attempts import Attempt, read_attempt
from ccip_batch.engines.htcondor.sites import Site
from ccip_batch.errors import RunFolderError
from ccip_batch.records import copy_whole, link_or_copy, write_whole
from ccip_batch.run.folder import RunFolder
from ccip_batch.run.run import Run

LARGE_INPUTS = ("vis", "reimaging_resources")
"""Inputs of the job that are too large for a tar that the access point packs, where they need not be in it."""
_FOLDER = "ccip_batch"
"""In the first folder of `urls`: places of runs, and images."""
_LARGE_FOLDERS = ("nodes", "planes", "products")
"""Of the run folder."""
_OWNER = "run"
"""In a place: a file with the path of the run folder."""
PLACE = "place"
"""In dag/: a file with the path of the place, if there is one."""


@dataclass(frozen=True)
class Staging:
    """The large files of a run on a site with file transfer."""

    run: Run
    site: Site

    @property
    def place(self) -> Path:
        """The folder of what is large: that of the run's own, or the run folder itself."""
        return place_of(self.run.folder)

    @property
    def folder(self) -> Path:
        """The folder of the tars."""
        place = self.place
        return (self.run.folder.dag if place == self.run.folder.path else place) / "transfer"

    @property
    def address(self) -> str:
        """That folder for the submit descriptions: a URL, or a path as dag/ sees it."""
        folder = self.folder
        return self.site.url_of(folder) or ("transfer" if folder.parent == self.run.folder.dag else str(folder))

    def input(self, node: str, attempt: Attempt) -> Path:
        """The tar that a node gets; the submit descriptions form the same name."""
        return self.folder / f"{node}.in.{attempt.name}.tar"

    def output(self, node: str, attempt: Attempt) -> Path:
        """The tar that a node gave."""
        return self.folder / f"{node}.out.{attempt.name}.tar"

    def waiting_output(self, node: str) -> Path | None:
        """The tar that a node gave and that is not unpacked yet."""
        archive = self.output(node, read_attempt(self.run, node))
        return archive if archive.is_file() else None

    def sizes(self, node: str, attempt: Attempt) -> tuple[int, int]:
        """Bytes of the tars that a node got and gave; 0 for one that is not there."""
        tars = self.input(node, attempt), self.output(node, attempt)
        to_it, back = (tar.stat().st_size if tar.is_file() else 0 for tar in tars)
        return to_it, back

    def forget(self, node: str) -> None:
        """Remove the tars of a node, whose content is in the run folder."""
        for path in (*self.folder.glob(f"{node}.in.*"), *self.folder.glob(f"{node}.out.*")):
            path.unlink(missing_ok=True)

    def inputs(self) -> list[str]:
        """What HTCondor transfers of the large inputs: paths or URLs. Those that are not among them go in the tar."""
        if not self.site.urls:
            return [str(self._path(key)) for key in LARGE_INPUTS]
        return [f"{self.address}/{quote(self._name(key))}" for key in LARGE_INPUTS if self._goes_by_url(key)]

    def packed_inputs(self) -> list[str]:
        """The keys of the large inputs that go in the tar of `restore`: a URL gives a file, not a folder."""
        return [key for key in LARGE_INPUTS if self.site.urls and not self._goes_by_url(key)]

    def provide(self) -> None:
        """Give what goes by its own URL the name under which it does."""
        for key in LARGE_INPUTS if self.site.urls else ():
            target = self.folder / self._name(key)
            if self._goes_by_url(key) and not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(self._path(key), target)  # nodes notice if it changes
        container = self.run.job.execution.container
        image = container and served_image(self.run, self.site, container)
        if container and image and not image.exists():
            image.parent.mkdir(parents=True, exist_ok=True)
            copy_whole(Path(container), image)  # who writes a new one over the old one does not change this

    def make_folders(self) -> None:
        """Make the folder of the tars and, if what is large is to be elsewhere, that place and the links to it.

        Raises RunFolderError if it is the place of another run, or if the run has such folders itself.
        """
        require_own_place(self.run.folder)
        path = self.run.folder.path
        if self.place == path and goes_elsewhere(self.site, path):
            there = [name for name in _LARGE_FOLDERS if (path / name).is_dir() and any((path / name).iterdir())]
            if there:
                raise RunFolderError(
                    f"{path} has {', '.join(there)} of a run without URLs, which are not moved to where `urls` leads. "
                    "Plan in another folder with --run-dir."
                )
            self._make_place()
        if self.place != path:
            if self.site.urls and self.site.url_of(self.folder) is None:
                raise RunFolderError(
                    f"{self.place}, where {path} has what is large, is in no folder of `urls` any more: its files "
                    "would not go by URL. Map its folder there, or plan in another folder with --run-dir."
                )
            self._make_links()
        self.folder.mkdir(parents=True, exist_ok=True)

    def _make_place(self) -> None:
        path = self.run.folder.path
        above = Path(next(iter(self.site.urls))) / _FOLDER
        prefix = re.sub(r"[^\w.-]+", "_", path.name)  # it becomes part of lists of files and of URLs
        try:
            above.mkdir(exist_ok=True)
            place = Path(tempfile.mkdtemp(prefix=f"{prefix}-", dir=above))
        except OSError as error:
            raise RunFolderError(
                f"{above} is to hold what is large (`urls` of the site profile), but cannot be made or written to: "
                f"{error.strerror}. Rename what is there, or map another folder first."
            ) from error
        place.chmod(0o755)  # who serves it reads it
        write_whole(place / _OWNER, f"{path}\n")
        write_whole(self.run.folder.dag / PLACE, f"{place}\n")

    def _make_links(self) -> None:
        for name in _LARGE_FOLDERS:
            link, target = self.run.folder.path / name, self.place / name
            target.mkdir(exist_ok=True)
            if link.is_symlink() and link.readlink() == target:
                continue
            if link.is_symlink():
                link.unlink()
            elif link.exists():
                link.rmdir()
            link.symlink_to(target)

    def tidy(self) -> None:
        """Remove all tars, and inputs that were given a name for their URL, when no node needs them any more."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, exist_ok=True)

    def _path(self, key: str) -> Path:
        return Path(getattr(self.run.job.inputs, key))

    def _goes_by_url(self, key: str) -> bool:
        return self.site.url_of(self._path(key)) is not None and self._path(key).is_file()

    def _name(self, key: str) -> str:
        return f"{_short(self.run.inputs[key])}/{self._path(key).name}"


def place_of(folder: RunFolder) -> Path:
    """The folder of what is large of a run: another place, if it was planned with one, or the run folder itself."""
    try:
        return Path((folder.dag / PLACE).read_text(encoding="utf-8").strip())
    except (OSError, ValueError):
        return folder.path


def require_own_place(folder: RunFolder) -> None:
    """Raise RunFolderError if the links lead to the place of another run: this run folder is a copy of that one."""
    place, path = place_of(folder), folder.path
    if place == path:
        return
    if not place.is_dir():
        raise RunFolderError(
            f"{place}, where {path} has its nodes, planes and products, is gone. Bring it back, or remove the run "
            "folder and plan again."
        )
    try:
        owner = RunFolder(Path((place / _OWNER).read_text(encoding="utf-8").strip()))
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"{place / _OWNER} is gone or damaged ({error}); write the path of the run folder, {path}, into it."
        ) from error
    if owner.path == path:
        return
    if place_of(owner) == place:
        raise RunFolderError(
            f"{path} is a copy of {owner.path}: its links lead to the same files in {place}. Plan in another "
            "folder with --run-dir."
        )
    write_whole(place / _OWNER, f"{path}\n")  # it was moved


def goes_elsewhere(site: Site, run: Path) -> bool:
    """Whether what is large of a run goes to another place than its folder. run: its absolute path."""
    return site.data == "transfer" and bool(site.urls) and site.url_of(run) is None


def served_image(run: Run, site: Site, container: str) -> Path | None:
    """The name by which an image has a URL of its own, the same for all runs; None if it has none."""
    if site.data == "shared" or site.url_of(Path(container)) is None:
        return None
    folder = Path(next(iter(site.urls))) / _FOLDER / "images"
    return folder / _short(run.job.versions["image"]) / Path(container).name


def image_address(run: Run, site: Site, container: str) -> str:
    """The address of the image for the submit descriptions."""
    served = served_image(run, site, container)
    return (site.url_of(served) if served else None) or container


def _short(digest: str) -> str:
    return digest.rpartition(":")[2][:16]
