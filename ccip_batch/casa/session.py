"""The only door to CASA (casatools, casatasks).

A `Casa` session lives in one process and one working folder. It sets CASA up without touching the user's home or the
network, keeps `casa.log`, and writes `casa_commands.py`: a script with exactly the CASA calls that make or change
files, and the file moves between them, which repeats the node's work in a folder beside it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ccip_batch.casa import speed
from ccip_batch.casa.speed import SelfChecks
from ccip_batch.errors import CasaError, DataError
from ccip_batch.job.casa_names import unfit_in_folder
from ccip_batch.job.versions import CASA_MISSING, casa_is_installed

DATA_VARIABLE = "CCIP_CASA_DATA"
"""Environment variable that names another folder with CASA's data (it has `geodetic/` in it)."""

_SITE_CONFIG = """\
measurespath = {data!r}
datapath = [{data!r}]
measures_auto_update = False
data_auto_update = False
logfile = {log!r}
nologger = True
nogui = True
agg = True
telemetry_enabled = False
crashreporter_enabled = False
casaconfig_verbose = 0
"""

_SCRIPT_HEAD = '''\
"""The CASA calls of {title}, in order, and the file moves between them.

Run it with a Python that has casatasks: it works in a new folder `replay` beside this file and reads the same inputs
as the node did. Calls that only read are left out.
"""
import os
import shutil
import sys

arguments, sys.argv = sys.argv, sys.argv[:1]
os.chdir(os.path.dirname(os.path.abspath(__file__)))
shutil.rmtree("replay", ignore_errors=True)
os.makedirs("replay/out")
os.chdir("replay")

import casatasks
import casatools

'''


def data_folder() -> Path:
    """The folder with CASA's data: `$CCIP_CASA_DATA`, or that of the package casadata.

    Raises DataError if neither is there.
    """
    given = os.environ.get(DATA_VARIABLE)
    if given:
        folder = Path(given)
        if not (folder / "geodetic").is_dir():
            raise DataError(f"{DATA_VARIABLE}={given} has no folder geodetic/; name a folder of CASA data.")
        return folder.resolve()
    spec = importlib.util.find_spec("casadata")
    if spec is None or spec.origin is None:
        raise DataError(
            f"CASA's data are missing: install the package casadata, or set {DATA_VARIABLE} to a folder of CASA data."
        )
    return Path(spec.origin).parent / "__data__"


def _linked(data: Path, link: Path) -> Path:
    """The folder with CASA's data; a link to it where CASA cannot take its name."""
    if not unfit_in_folder(data):
        return data
    link.unlink(missing_ok=True)
    link.symlink_to(data)
    return link.absolute()


class Casa:
    """A CASA session in the current folder. One a process: CASA's own state is global.

    `cpu` and `calls` add up the CPU seconds and the number of CASA calls made so far; `self_checks` says whether
    casacore's checks of itself are off (see speed.py).
    """

    def __init__(
        self,
        log: Path,
        script: Path | None = None,
        title: str = "this node",
        threads: int = 1,
        self_checks: bool = False,
    ) -> None:
        """Set CASA up and import it.

        log: CASA's log file. script: where the calls are recorded (None: nowhere), a file in the parent folder of the
        current one, since the script runs in a sibling of it; title: for its head. threads: of OpenMP, which
        change no bit; they pay where convolution functions are made, as in `restore`. self_checks: leave casacore's
        checks of itself on. Raises CasaError if CASA is not installed.
        """
        if not casa_is_installed():
            raise CasaError(f"{CASA_MISSING}, or run in the container.")
        unfit = unfit_in_folder(Path.cwd())
        if unfit:
            raise CasaError(f"CASA cannot work in {Path.cwd()}: there is {unfit} in the path. Work in another folder.")
        private = log.parent / "casa_home"
        private.mkdir(parents=True, exist_ok=True)
        data = _linked(data_folder(), private / "data")
        site = private / "casasiteconfig.py"
        site.write_text(_SITE_CONFIG.format(data=str(data), log=str(log.resolve())))
        os.environ["CASASITECONFIG"] = str(site.resolve())
        os.environ["OMP_NUM_THREADS"] = str(threads)
        os.environ["OMP_WAIT_POLICY"] = "passive"  # threads that wait for work would keep a core busy with waiting
        os.environ["HOME"] = str(private.resolve())
        os.environ["MPLCONFIGDIR"] = str(private.resolve())
        os.environ["PATH"] = os.pathsep.join([os.defpath, os.environ.get("PATH", "")])  # CASA calls `cp` by a shell

        speed.keep_memory()
        started = time.process_time()
        arguments, sys.argv = sys.argv, sys.argv[:1]  # casaconfig reads them when it is imported
        try:
            import casatasks
            import casatools
        except Exception as error:
            raise CasaError(f"CASA cannot be imported: {error}") from error
        finally:
            sys.argv = arguments
        self._tasks = casatasks
        self._tools = casatools
        self._modules = 0
        self.self_checks = SelfChecks(places=0)
        self.keeps_self_checks = self_checks
        self._switch_self_checks_off()
        if self.self_checks.why_on:
            print(
                f"CASA is slower than it could be: casacore's self-checks are {self.self_checks.sentence()}", flush=True
            )
        self.cpu = time.process_time() - started
        self.calls = 0
        self._names = 0
        self._script = script
        if script is not None and not script.exists():
            script.write_text(_SCRIPT_HEAD.format(title=title))

    def record(self, line: str) -> None:
        """Write a line into `casa_commands.py`."""
        if self._script is not None:
            with self._script.open("a") as out:
                out.write(line + "\n")

    def script_bytes(self) -> int:
        """Length of `casa_commands.py` now."""
        return self._script.stat().st_size if self._script is not None else 0

    def cut_script(self, length: int) -> None:
        """Forget what was recorded after a checkpoint was saved."""
        if self._script is not None and self._script.stat().st_size > length:
            os.truncate(self._script, length)

    @contextlib.contextmanager
    def unrecorded(self) -> Iterator[None]:
        """For calls that only make again what calls recorded before have made."""
        script, self._script = self._script, None
        try:
            yield
        finally:
            self._script = script

    def _switch_self_checks_off(self) -> None:
        """Switch casacore's self-checks off, unless they are wanted; again when more of CASA may have been imported."""
        if not self.keeps_self_checks and len(sys.modules) != self._modules:
            found = speed.speed_up()
            if found.places or not self.self_checks.places:  # what is off stays off
                self.self_checks = found
            self._modules = len(sys.modules)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        self._switch_self_checks_off()
        started = time.process_time()
        try:
            yield
        finally:
            self.cpu += time.process_time() - started
            self.calls += 1

    def task(self, name: str, /, **arguments: Any) -> Any:
        """Run a CASA task and return what it returns. Raises CasaError, naming the task, if it raises."""
        text = ",\n    ".join(f"{key}={value!r}" for key, value in arguments.items())
        self.record(f"casatasks.{name}(\n    {text},\n)")
        with self._counted():
            try:
                return getattr(self._tasks, name)(**arguments)
            except Exception as error:
                raise CasaError(f"CASA task {name} failed: {error}") from error

    def move(self, source: str, target: str) -> None:
        """Rename a file or folder of the working folder."""
        self.record(f"os.rename({source!r}, {target!r})")
        Path(source).rename(target)

    def link(self, source: Path, name: str) -> Path:
        """Let CASA see a file or folder from elsewhere in the working folder, by a plain name, wherever it is."""
        self.record(f"os.symlink({str(source)!r}, {name!r})")
        Path(name).symlink_to(source)
        return Path(name)

    def copy(self, source: str, target: str) -> None:
        """Copy a CASA table (a folder). The copy can be written to whatever the mode of the source."""
        self.record(f"shutil.copytree({source!r}, {target!r}, copy_function=shutil.copyfile)")
        copy_table(Path(source), Path(target))

    def remove(self, path: str) -> None:
        """Remove a CASA table (a folder) if it is there."""
        self.record(f"shutil.rmtree({path!r}, ignore_errors=True)")
        shutil.rmtree(path, ignore_errors=True)

    @contextlib.contextmanager
    def image(self, path: str) -> Iterator[Any]:
        """An image tool on an image, for reading. Not recorded; errors become CasaError."""
        with self._tool("image", "open", path) as tool:
            yield tool

    @contextlib.contextmanager
    def table(self, path: str, write: bool = False) -> Iterator[Any]:
        """A table tool on a table, read-only unless `write`. Not recorded; errors become CasaError."""
        with self._tool("table", "open", path, nomodify=not write) as tool:
            yield tool

    @contextlib.contextmanager
    def tool(self, name: str) -> Iterator[Any]:
        """A tool of casatools (`measures`, `quanta`, `simulator`, ...) that is not bound to a file. Not recorded."""
        with self._counted():
            tool = getattr(self._tools, name)()
            try:
                yield tool
            except RuntimeError as error:
                raise CasaError(f"CASA tool {name} failed: {error}") from error
            finally:
                if hasattr(tool, "done"):
                    tool.done()

    @contextlib.contextmanager
    def _tool(self, name: str, method: str, path: str, **arguments: Any) -> Iterator[Any]:
        with self._counted():
            tool = getattr(self._tools, name)()
            try:
                getattr(tool, method)(path, **arguments)
                yield tool
            except RuntimeError as error:
                raise CasaError(f"CASA could not work on {path}: {error}") from error
            finally:
                tool.close()

    def regrid_from(self, source: str, target: str, direction_rad: list[float]) -> None:
        """Regrid an image as if its reference direction were another one, onto the grid that it has now.

        direction_rad: right ascension and declination. The source keeps the new reference direction.
        """
        self._names += 1
        name = f"image{self._names}"
        code = (
            f"{name} = casatools.image()\n{name}.open({source!r})\n"
            f"nominal = {name}.coordsys()\nactual = {name}.coordsys()\n"
            f"actual.setreferencevalue({direction_rad!r}, type='direction')\n"
            f"{name}.setcoordsys(actual.torecord())\n"
            f"{name}.regrid(outfile={target!r}, csys=nominal.torecord(), axes=[0, 1]).done()\n"
            f"{name}.close()"
        )
        self.record(code)
        with self._tool("image", "open", source) as tool:
            nominal, actual = tool.coordsys(), tool.coordsys()
            actual.setreferencevalue(direction_rad, type="direction")
            tool.setcoordsys(actual.torecord())
            tool.regrid(outfile=target, csys=nominal.torecord(), axes=[0, 1]).done()

    @contextlib.contextmanager
    def recorded_image(self, path: str) -> Iterator[RecordedImage]:
        """An image tool on an image whose calls are recorded: for what makes or changes images."""
        self._names += 1
        name = f"image{self._names}"
        with self._tool("image", "open", path) as tool:
            self.record(f"{name} = casatools.image()\n{name}.open({path!r})")
            try:
                yield RecordedImage(self, tool, name)
            finally:
                self.record(f"{name}.close()")


class RecordedImage:
    """Passes calls on to an image tool and records them. Images that a call returns are closed at once."""

    def __init__(self, casa: Casa, tool: Any, name: str) -> None:
        self._casa = casa
        self._tool = tool
        self._name = name

    def __getattr__(self, method: str) -> Any:
        def call(**arguments: Any) -> Any:
            text = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
            self._casa.record(f"{self._name}.{method}({text})")
            result = getattr(self._tool, method)(**arguments)
            if hasattr(result, "getchunk"):  # an image tool on the new image
                result.done()
                return None
            return result

        return call


def copy_table(source: Path, target: Path) -> None:
    """Copy a CASA table (a folder) without its modes: the source may be read-only, the copy must not be.

    The copy appears under its name only when it is whole.
    """
    partial = target.with_name(target.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial, copy_function=shutil.copyfile)
    for folder, _, _ in os.walk(partial):
        Path(folder).chmod(stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
    partial.rename(target)
