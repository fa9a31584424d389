"""Nodes inside an Apptainer image: how Apptainer is called, what of this machine is bound into it, what cannot work.

The supervisor of a node stays outside; its worker process runs in the image, which sees the run folder, the
inputs (read-only) and nothing else of this machine. So a machine without CASA can run a job.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ccip_batch import __version__
from ccip_batch.casa.probe import Finding
from ccip_batch.casa.session import DATA_VARIABLE
from ccip_batch.errors import ConfigError, RunFolderError
from ccip_batch.job.config import ResolvedJob
from ccip_batch.job.package_files import data_folder
from ccip_batch.processes import PYTHON_OPTIONS

APPTAINER_VARIABLE = "CCIP_APPTAINER"
"""Environment variable that names the Apptainer command, where it is not on PATH."""

DATA_INSIDE = Path("/opt/ccip/data")
"""Where an image has CASA's data; another folder of them is bound over it."""

UNPACKED_BYTES = 900_000_000
"""Disk that an image takes where it is unpacked, somewhat more than it was measured."""

NOT_STARTED = 255
"""Apptainer's exit code when it could not start the process."""

_MAGIC = b"SIF_MAGIC\0"
_MAGIC_AT = 32
_OWN = ("/bin", "/dev", "/etc", "/lib", "/lib64", "/opt/ccip", "/proc", "/sbin", "/sys", "/usr", "/.singularity.d")
"""Folders without which nothing runs in an image: none of them, nor one above, can be hidden by a bind."""
_CLOSED = ("/opt/ccip", "/proc", "/sys", "/.singularity.d")
"""Folders below which nothing can be bound."""
_CAP_SYS_ADMIN, _CAP_SYS_RESOURCE = 21, 24


@dataclass(frozen=True)
class Bind:
    """A file or folder of this machine that is seen inside the image."""

    what: str
    """What it is to the job, such as `inputs.vis`."""
    source: Path
    """Its real path here, without links."""
    inside: Path
    """Its path inside: the one that the job names it by."""
    writable: bool = False

    def option(self) -> list[str]:
        """Apptainer's option for it. The form with quotes takes every character that a path can have."""
        fields = [f"source={self.source}", f"destination={self.inside}"]
        quoted = ['"' + field.replace('"', '""') + '"' for field in fields]
        return ["--mount", ",".join(["type=bind", *quoted, *(() if self.writable else ("ro",))])]

    def complaint(self) -> str:
        """Why it cannot be bound; empty if nothing is known to be against it."""
        inside = self.inside
        if inside == DATA_INSIDE:
            return ""
        if any(Path(own).is_relative_to(inside) for own in _OWN):
            return f"{self.what}: {inside} cannot be bound, it would hide the image's own folders"
        closed = next((closed for closed in _CLOSED if inside.is_relative_to(closed)), None)
        if closed is not None:
            return f"{self.what}: {inside} cannot be bound, the image has its own {closed}"
        return ""


@dataclass(frozen=True)
class Container:
    """An image, with what a job needs of this machine in it."""

    image: str
    """As `execution.container` names it."""
    run: Path
    """The run folder, or where it will be."""
    binds: tuple[Bind, ...]

    def complaints(self) -> Iterator[str]:
        """All that is known to be wrong before Apptainer is started, each with its remedy."""
        for wrong, right in image_complaints(self.image):
            yield f"execution.container: {wrong}. {right}"
        try:
            apptainer()
        except ConfigError as error:
            yield str(error)
        for bind in self.binds:
            if bind.complaint():
                yield f"{bind.complaint()}. Put it elsewhere, or run without a container."
        if unpacks():
            folder = _unpack_folder()
            free = shutil.disk_usage(folder).free
            if free < UNPACKED_BYTES:
                yield (
                    f"execution.container: without access to /dev/fuse each node unpacks the image, and {folder} has "
                    f"only {free / 1e9:.1f} GB free. Name a larger folder in APPTAINER_TMPDIR."
                )

    def warnings(self) -> list[str]:
        """What works, but not as well as it could."""
        if not unpacks():
            return []
        return [
            f"you cannot mount images here (no access to /dev/fuse), so each node first unpacks the image into "
            f"{_unpack_folder()}: some 10 s and {UNPACKED_BYTES / 1e9:.1f} GB for each that runs"
        ]

    def command(self, *words: str) -> list[str]:
        """The command line that runs a command in the image, cut off from all of this machine that is not bound."""
        options = [option for bind in self.binds for option in bind.option()]
        mode = ["--userns"] if _needs_user_namespace() else []
        flags = ["--containall", "--no-home", "--no-eval", *mode, "--pwd", str(self.run)]
        return [apptainer(), "--silent", "exec", *flags, *options, self.image, *words]

    def probe(self, vis: Path | None = None, flags: Sequence[str] = ()) -> Finding:
        """What a node would find in the image. vis: look into this measurement set, and the measures tables, too.

        flags: flag commands to be tried on it, from `casa.probe.flag_argument`.

        Raises ConfigError, with all that cannot work and why.
        """
        wrong = list(self.complaints())
        if wrong:
            raise _failure(wrong)
        with tempfile.TemporaryDirectory() as folder:  # a run folder that is not there yet is stood in for
            there = replace(self, binds=tuple(_standing_in(bind, Path(folder)) for bind in self.binds))
            words = ["python3", *PYTHON_OPTIONS, "-m", "ccip_batch.casa.probe", str(vis or "")]
            words += [f"{'w' if bind.writable else 'r'}{bind.inside}" for bind in self.binds]
            words += flags
            done = subprocess.run(
                there.command(*words), capture_output=True, text=True, check=False, env=environment(), cwd="/"
            )
        found = Finding.read(done.stdout)
        if found is None:
            raise ConfigError(_explain(self.image, done.returncode, done.stderr))
        here = found.versions.get("ccip_batch")
        if here != __version__:
            raise ConfigError(
                f"execution.container: {self.image} has ccip_batch {here}, this is {__version__}. Take the image of "
                "this version, or the ccip-batch of the image's."
            )
        if found.unusable:
            what = {str(bind.inside): bind.what for bind in self.binds}
            raise _failure(
                [
                    f"{what[path]}: {path} cannot be {'read' if sign == 'r' else 'written'} inside the image. "
                    "Put it where Apptainer can bind it, for instance below your home folder, or fix its permissions."
                    for sign, path in ((text[0], text[1:]) for text in found.unusable)
                ]
            )
        return found


def digest(image: Path) -> str:
    """SHA-256 of an image file, as `sha256:...`."""
    with image.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def of_job(job: ResolvedJob, run: Path) -> Container | None:
    """The container that the local engine runs a job's nodes in; None if it runs them as they are.

    Raises ConfigError if this user cannot see what is to be bound.
    """
    image = job.execution.container
    if image is None or job.execution.engine != "local":
        return None
    try:
        return Container(image, run.resolve(), tuple(_binds(job, run.resolve())))
    except OSError as error:
        raise ConfigError(
            f"the run folder or an input cannot be bound: {error.filename}: {error.strerror}. Give another run "
            "folder with --run-dir, or change the permissions."
        ) from error


def of_node(job: ResolvedJob, run: Path) -> Container | None:
    """As `of_job`, for a node of a run. Raises RunFolderError if the image is not the one that the run began with."""
    container = of_job(job, run)
    if container is not None:
        wrong = list(container.complaints())
        if wrong:
            raise _failure(wrong)
        if digest(Path(container.image)) != job.versions.get("image"):
            raise RunFolderError(
                f"{container.image} is another file than the run was started with; start it again with ccip-batch run."
            )
    return container


def apptainer() -> str:
    """The Apptainer command: `$CCIP_APPTAINER`, the one on PATH, or the one that a checkout has set up.

    Raises ConfigError if Apptainer is missing.
    """
    given = os.environ.get(APPTAINER_VARIABLE)
    if given:
        found = shutil.which(given)
        if found is None:
            raise ConfigError(f"{APPTAINER_VARIABLE}={given} is not a program; name the Apptainer command.")
        return found
    found = shutil.which("apptainer")
    own = data_folder("container").parent / "build" / "apptainer" / "ccip-apptainer"
    if found is None and own.is_file():
        found = str(own)
    if found is None:
        raise ConfigError(
            "execution.container: Apptainer is not on PATH"
            + (", and you are inside an image already: leave the container out. " if _is_inside() else ". ")
            + f"Install it, or name it in {APPTAINER_VARIABLE}; in a checkout, container/setup_apptainer.sh sets it up."
        )
    return found


def unpacks() -> bool:
    """Whether this user's Apptainer must unpack an image at each start, since it cannot mount it."""
    asked = os.environ.get("APPTAINER_UNSQUASH")
    if asked is not None:
        return asked.lower() in ("1", "true", "yes")
    return os.geteuid() != 0 and not os.access("/dev/fuse", os.R_OK | os.W_OK)


def environment(inside: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment that Apptainer is called with: that of this process, but for binds and variables of the user's.

    inside: variables for the process in the image. As the wrapper of container/setup_apptainer.sh, it makes up for what
    this machine does not allow.
    """
    unwanted = ("APPTAINERENV_", "SINGULARITYENV_", "APPTAINER_BIND", "SINGULARITY_BIND", "APPTAINER_MOUNT")
    variables = {name: text for name, text in os.environ.items() if not name.startswith(unwanted)}
    variables.update({f"APPTAINERENV_{name}": text for name, text in (inside or {}).items()})
    if unpacks():
        variables["APPTAINER_UNSQUASH"] = "1"
    if os.geteuid() == 0 and not _has_capability("CapBnd", _CAP_SYS_RESOURCE):
        variables.setdefault("APPTAINER_DROP_CAPS", "CAP_SYS_RESOURCE")
    return variables


def _needs_user_namespace() -> bool:
    """Whether this is a root who may not mount, as in many containers."""
    return os.geteuid() == 0 and not _has_capability("CapEff", _CAP_SYS_ADMIN)


def _has_capability(kind: str, number: int) -> bool:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return bool(int(line.split()[1], 16) >> number & 1)
    return True


def _is_inside() -> bool:
    return "APPTAINER_CONTAINER" in os.environ


def _unpack_folder() -> Path:
    return Path(os.environ.get("APPTAINER_TMPDIR") or os.environ.get("TMPDIR") or "/tmp")


def is_address(image: str) -> bool:
    """Whether an image is named by a URL such as `osdf://...`, which only a pool can fetch."""
    return "://" in image


def image_complaints(image: str) -> Iterator[tuple[str, str]]:
    """What is wrong with an image file: in a sentence, and what to do."""
    path = Path(image)
    right = "Name an image file (.sif); `make image` in a checkout makes one."
    if is_address(image):
        yield f"{image} is an address, which only a pool fetches", "Fetch it (apptainer pull) and name the file."
    elif not path.exists():
        yield f"{image} does not exist", right
    elif not path.is_file() or not os.access(path, os.R_OK):
        yield f"{image} is not a file that you can read", right
    else:
        with path.open("rb") as stream:
            stream.seek(_MAGIC_AT)
            if stream.read(len(_MAGIC)) != _MAGIC:
                yield f"{image} is not an Apptainer image (SIF)", right


def _binds(job: ResolvedJob, run: Path) -> list[Bind]:
    """What a node needs: the run folder to write into, the inputs to read, and what links in them lead to."""
    found = [Bind("the run folder", run, run, writable=True)]
    found += _linked(found[0], [run, *_folders(run), *_folders(run / "nodes")])
    for key in type(job.inputs).model_fields:
        path = getattr(job.inputs, key)
        if path is not None:
            bind = Bind(f"inputs.{key}", path.resolve(), path)
            tree = [Path(folder) for folder, _, _ in os.walk(bind.source)]
            found += [bind, *_linked(bind, tree)]
    data = os.environ.get(DATA_VARIABLE)
    if data and not _is_inside():
        found.append(Bind(DATA_VARIABLE, Path(data).resolve(), DATA_INSIDE))
    unique = {bind.inside: bind for bind in reversed(found)}
    return sorted(unique.values(), key=lambda bind: len(bind.inside.parts))  # what lies in another comes after it


def _folders(path: Path) -> list[Path]:
    return [entry for entry in path.iterdir() if entry.is_dir()] if path.is_dir() else []


def _linked(bind: Bind, folders: Sequence[Path]) -> Iterator[Bind]:
    """A bind for each link in these folders of `bind` that leads out of it: inside, its target must be there too."""
    for folder in folders:
        for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
            if not entry.is_symlink() or not entry.exists():
                continue
            seen_from = bind.inside / folder.relative_to(bind.source)
            target = Path(os.path.normpath(seen_from / entry.readlink()))
            if not target.is_relative_to(bind.inside):
                yield Bind(f"{bind.what} (link {entry.name})", entry.resolve(), target, bind.writable)


def _standing_in(bind: Bind, folder: Path) -> Bind:
    return bind if bind.source.exists() else Bind(bind.what, folder.resolve(), bind.inside, bind.writable)


def _failure(wrong: Sequence[str]) -> ConfigError:
    return ConfigError(
        wrong[0] if len(wrong) == 1 else "\n".join([f"{len(wrong)} problems:", *map("  * {}".format, wrong)])
    )


def _explain(image: str, code: int, said: str) -> str:
    """Why nothing came out of a try of an image, from what Apptainer and Python said."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    last = next((line for line in reversed(lines) if "FATAL" in line or "ERROR" in line), (lines or ["nothing"])[-1])
    right = f"Try it by hand: {apptainer()} exec {image} ccip-batch --version"
    if "namespace" in said and os.geteuid() != 0:
        right = (
            "This user may not create user namespaces, which Apptainer needs where it is not installed setuid; ask for "
            "user.max_user_namespaces and, on Debian and Ubuntu, kernel.unprivileged_userns_clone and AppArmor's rule."
        )
    elif "No module named" in said or "python3" in said:
        return (
            f"execution.container: {image} does not hold this ccip-batch {__version__} ({last}). "
            "`make image` makes one that does."
        )
    return f"execution.container: {image} cannot be started (exit code {code}): {last}. {right}"
