#!/usr/bin/env python3
"""A personal HTCondor pool on this machine, to try `ccip-batch` with the HTCondor engine and to test it.

    pool.py up           make HTCondor available, start the pool, wait until it takes jobs
    pool.py status       show what is running
    pool.py run -- CMD   run a command as the pool's user with the pool's environment
    pool.py job-python   make a Python with ccip_batch and CASA that the pool's user can execute
    pool.py down         stop everything

The daemons and the jobs run as one ordinary user: the caller, or, since root may not submit, the system user `ccip`
if the caller is root. All files are in one folder (--folder, or CCIP_POOL): build/pool of the checkout if that user can
reach it, else /var/lib/ccip-batch/pool. HTCondor is taken from the PATH; if it is not there, Debian's package is
unpacked beside the pool's folder. Needs Python 3.11 and nothing else.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pwd
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SYSTEM_FOLDER = Path("/var/lib/ccip-batch")
SYSTEM_USER = "ccip"
SUITE = "trixie"
"""Debian release whose condor (23.9.6) is unpacked where the machine has none."""
START_SECONDS = 90
STOP_SECONDS = 20


class PoolError(Exception):
    """Something that the user can fix; the message says how."""


@dataclass(frozen=True)
class Pool:
    """Where the pool is, and which user runs it."""

    folder: Path
    user: pwd.struct_passwd

    @property
    def config(self) -> Path:
        return self.folder / "condor_config"

    @property
    def pid_file(self) -> Path:
        return self.folder / "master.json"

    @property
    def prefix(self) -> Path:
        """Where Debian's HTCondor is unpacked."""
        return Path(os.environ.get("CCIP_CONDOR", self.folder.parent / "condor")).resolve()

    @property
    def job_python(self) -> Path:
        """The virtual environment of the jobs."""
        return Path(os.environ.get("CCIP_JOB_PYTHON", self.folder.parent / "job-python")).resolve()

    @property
    def work(self) -> Path:
        """A folder in which the pool's user can write: a place for runs."""
        return self.folder / "work"

    def programs(self) -> list[str]:
        """The folder of HTCondor's programs, if they are not on PATH."""
        folder = self.prefix / "programs"
        return [str(folder)] if shutil.which("condor_master") is None and folder.is_dir() else []

    def environment(self) -> dict[str, str]:
        """The environment that a process needs to find the pool, apart from PATH."""
        return {
            "CONDOR_CONFIG": str(self.config),
            "_CONDOR_SEC_TOKEN_DIRECTORY": str(self.folder / "tokens.d"),
            "CCIP_POOL": str(self.folder),
            "CCIP_POOL_WORK": str(self.work),
            "CCIP_JOB_PYTHON": str(self.job_python),
        }

    def popen(self, command: list[str], cwd: Path | None = None, **options: object) -> subprocess.Popen[str]:
        """Start a command as the pool's user with the pool's environment."""
        environment = {**os.environ, **self.environment()}
        environment["PATH"] = ":".join([*self.programs(), environment.get("PATH", "/usr/bin:/bin")])
        if os.geteuid() == 0:
            environment |= {"HOME": self.user.pw_dir, "USER": self.user.pw_name, "LOGNAME": self.user.pw_name}
            options |= {"user": self.user.pw_uid, "group": self.user.pw_gid, "extra_groups": []}
        return subprocess.Popen(command, env=environment, cwd=cwd, text=True, **options)  # type: ignore[call-overload, no-any-return]

    def output(self, command: list[str], seconds: float = 20) -> str | None:
        """Standard output of a command that is run as the pool's user; None if it fails or takes longer."""
        process = self.popen(command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            out, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return None
        return str(out) if process.returncode == 0 else None


# --- the folder and the user ---


def is_open_to_others(path: Path) -> bool:
    """Whether every user can pass through all existing folders above `path`."""
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents if parent.exists())


def checkout() -> Path | None:
    """The source tree that this file is in; None in an installed package."""
    root = HERE.parent.parent
    return root if (root / "pyproject.toml").is_file() else None


def default_folder(name: str) -> Path:
    """The folder of the pool `name` if none is given."""
    root = checkout()
    if root is not None and (os.geteuid() != 0 or is_open_to_others(root / "build" / name)):
        return root / "build" / name
    return (SYSTEM_FOLDER if os.geteuid() == 0 else Path.home() / ".local" / "share" / "ccip-batch") / name


def find_pool(folder: Path, create: bool) -> Pool:
    """The pool in `folder`. With `create` its folders and its user are made."""
    folder = folder.resolve()
    if os.geteuid() != 0:
        user = pwd.getpwuid(os.geteuid())
    else:
        if not is_open_to_others(folder):
            raise PoolError(f"{folder} lies below a folder that only its owner can enter; name another with --folder.")
        user = system_user(create)
    pool = Pool(folder, user)
    if create:
        folder.parent.mkdir(parents=True, exist_ok=True)
        own_folder(folder, user, 0o755)
        for name in ("run", "log", "lock", "spool", "execute", "work"):
            own_folder(folder / name, user, 0o755)
        for name in ("passwords.d", "system-tokens.d", "tokens.d"):
            own_folder(folder / name, user, 0o700)
    elif not pool.config.is_file():
        raise PoolError(f"There is no pool in {folder}; start one with: {Path(__file__).name} up")
    return pool


def system_user(create: bool) -> pwd.struct_passwd:
    """The system user who submits and runs jobs when the caller is root."""
    try:
        return pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        if not create:
            raise PoolError(f"There is no pool: the user {SYSTEM_USER} does not exist.") from None
    SYSTEM_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
    command = ["useradd", "--system", "--user-group", "--shell", "/usr/sbin/nologin"]
    run([*command, "--create-home", "--home-dir", str(SYSTEM_FOLDER / "home"), SYSTEM_USER])
    say(f"made the system user {SYSTEM_USER}: root may not submit jobs")
    return pwd.getpwnam(SYSTEM_USER)


def own_folder(path: Path, user: pwd.struct_passwd, mode: int) -> None:
    """A folder of `user`. One that is a link or belongs to somebody else is refused, never taken over."""
    try:
        path.mkdir()
    except FileExistsError:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != user.pw_uid:
            raise PoolError(
                f"{path} is there and is not a folder of {user.pw_name}; remove it, or name another with --folder."
            ) from None
        return
    path.chmod(mode)
    if os.geteuid() == 0:
        os.chown(path, user.pw_uid, user.pw_gid)


# --- HTCondor itself ---


def provide_condor(pool: Pool) -> Path:
    """Make HTCondor available and return its release folder (the one with bin/ and sbin/)."""
    found = shutil.which("condor_master")
    if found is not None:
        return Path(found).resolve().parent.parent
    prefix = pool.prefix
    if not (prefix / "programs" / "condor_master").exists():
        unpack_condor(prefix)
    return prefix / "usr"


def unpack_condor(prefix: Path) -> None:
    """Unpack Debian's condor into `prefix` and make its programs use the libraries that came with it."""
    if os.geteuid() != 0:
        raise PoolError("There is no condor_master on PATH: install HTCondor, or run this once as root to unpack it.")
    for program in ("mmdebstrap", "patchelf"):
        if shutil.which(program) is None:
            install_package(program)
    if not Path("/usr/share/keyrings/debian-archive-keyring.gpg").exists():
        install_package("debian-archive-keyring")
    say(f"unpacking HTCondor from Debian {SUITE} into {prefix}")
    partial = prefix.with_name(prefix.name + ".part")
    shutil.rmtree(partial, ignore_errors=True)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    run(["mmdebstrap", "--quiet", "--variant=extract", "--include=condor,libmunge2", SUITE, str(partial)])
    patch(partial, prefix)
    programs = partial / "programs"
    programs.mkdir()
    for folder in ("bin", "sbin"):
        for path in sorted((partial / "usr" / folder).glob("condor_*")):
            (programs / path.name).symlink_to(f"../usr/{folder}/{path.name}")
    shutil.rmtree(prefix, ignore_errors=True)
    partial.rename(prefix)


def patch(tree: Path, prefix: Path) -> None:
    """Let HTCondor's programs in `tree` use the loader and the libraries that will be in `prefix`.

    The machine's own libc may be older than the one they were linked with.
    """
    libraries = [path for path in (tree / "usr" / "lib").glob("*-linux-gnu*") if path.is_dir()]
    if len(libraries) != 1:
        raise PoolError(f"{tree}/usr/lib: expected one folder of libraries, found {len(libraries)}.")
    library = prefix / "usr" / "lib" / libraries[0].name
    search = f"{library}:{prefix}/usr/lib"
    candidates = [
        *(tree / "usr" / "bin").glob("condor_*"),
        *(tree / "usr" / "sbin").glob("condor_*"),
        *(tree / "usr" / "libexec" / "condor").rglob("*"),
    ]
    for program in sorted(candidates):
        if program.is_symlink() or not program.is_file() or not is_elf(program):
            continue
        shown = subprocess.run(["patchelf", "--print-interpreter", str(program)], capture_output=True, text=True)
        if shown.returncode != 0:  # a shared library: found by the programs' search path
            continue
        loader = f"{prefix}/usr{shown.stdout.strip()}"
        run(["patchelf", "--set-interpreter", loader, "--force-rpath", "--set-rpath", search, str(program)])


def is_elf(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def install_package(name: str) -> None:
    """Install a Debian package that is needed here; only root can do that."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise PoolError(f"The package {name} is needed: apt-get install {name}")
    say(f"installing {name}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", name]
    if subprocess.run(command, env=environment, stdout=subprocess.DEVNULL).returncode != 0:
        run(["apt-get", "update", "--quiet"])
        run(command)


# --- configuration, start, stop ---


def configuration(pool: Pool, release: Path, options: argparse.Namespace, port: int) -> str:
    """The text of condor_config."""
    candidates = (release / "libexec" / "condor", release / "lib" / "condor" / "libexec")
    libexec = next((path for path in candidates if path.is_dir()), None)
    if libexec is None:
        raise PoolError(f"HTCondor in {release} has no libexec folder; its installation is incomplete.")
    lines = [
        f"CCIP_FOLDER = {pool.folder}",
        f"CCIP_USER = {pool.user.pw_name}",
        f"CCIP_PORT = {port}",
        f"CCIP_CPUS = {options.cpus or os.cpu_count()}",
        f"CCIP_MEMORY = {options.memory or '$(DETECTED_MEMORY)'}",
        f"RELEASE_DIR = {release}",
        f"LIBEXEC = {libexec}",
        "",
        (HERE / "pool.conf").read_text(),
    ]
    if options.memory_policy:
        lines += [
            "# Without cgroups only this policy holds jobs that use more memory than they asked for.",
            "use POLICY:Hold_If_Memory_Exceeded",
            "POLLING_INTERVAL = 2",
            "# A slot for each job: the next one would get all the memory that the last one had asked for.",
            "CLAIM_WORKLIFE = 0",
            "",
        ]
    apptainer = options.apptainer or shutil.which("apptainer")
    if apptainer:
        lines += [
            "# Container universe.",
            f"SINGULARITY = {Path(apptainer).absolute()}",
            "SINGULARITY_RUN_TEST_BEFORE_JOB = false",
            "# Debian's package lacks the image with which a machine tries out whether it runs image files.",
            "HasSIF = true",
            "STARTD_ATTRS = $(STARTD_ATTRS) HasSIF",
            "",
        ]
    if options.extra is not None:
        lines += [f"# From {options.extra.name}", options.extra.read_text()]
    return "\n".join(lines)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def up(pool: Pool, options: argparse.Namespace) -> None:
    """Start the pool, or say that it is running."""
    release = provide_condor(pool)
    if master_pid(pool) is not None:
        present = pool.config.read_text()
        port = int(present.partition("CCIP_PORT = ")[2].split()[0])
        if present != configuration(pool, release, options, port):
            raise PoolError("The pool is running with other settings; stop it first: make pool-down")
    else:
        down(pool)  # what a killed pool may have left behind
        pool.config.write_text(configuration(pool, release, options, free_port()))
        nowhere = subprocess.DEVNULL
        master = pool.popen(
            ["condor_master", "-f"], pool.folder, start_new_session=True, stdin=nowhere, stdout=nowhere, stderr=nowhere
        )
        wait_for_master(pool, master)
    wait_until_ready(pool)
    fetch_token(pool)
    write_environment(pool)
    usage(pool)


def wait_for_master(pool: Pool, master: subprocess.Popen[str]) -> None:
    """Note the master's pid, with its start time so that it cannot be mistaken for another process later."""
    pool.pid_file.write_text(json.dumps({"pid": master.pid, "started": start_ticks(master.pid)}))
    time.sleep(0.5)
    if master.poll() is not None:
        raise PoolError(f"condor_master ended at once (exit code {master.returncode}).{last_lines(pool)}")


def wait_until_ready(pool: Pool) -> None:
    """Wait until the slot is in the collector and the queue answers."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if master_pid(pool) is None:
            raise PoolError(f"condor_master has ended.{last_lines(pool)}")
        slots = pool.output(["condor_status", "-startd", "-af", "Name"])
        schedds = pool.output(["condor_status", "-schedd", "-af", "Name"])
        if slots and slots.strip() and schedds and schedds.strip() and pool.output(["condor_q", "-totals"]) is not None:
            return
        time.sleep(0.5)
    raise PoolError(f"The pool did not take jobs within {START_SECONDS} s.{last_lines(pool)}")


def last_lines(pool: Pool) -> str:
    """The ends of the daemons' logs, for a message."""
    text = ""
    for name in ("MasterLog", "CollectorLog", "SchedLog", "StartLog"):
        path = pool.folder / "log" / name
        if path.is_file():
            text += f"\n--- {path}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-6:])
    return text


def fetch_token(pool: Pool) -> None:
    """A token for Python bindings whose FS authentication the schedd does not take."""
    token = pool.folder / "tokens.d" / "pool"
    if token.exists():
        return
    text = pool.output(["condor_token_fetch"])
    if text is None:
        say("no token could be fetched; FS authentication still works")
        return
    with os.fdopen(os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    if os.geteuid() == 0:
        os.chown(token, pool.user.pw_uid, pool.user.pw_gid)


def write_environment(pool: Pool) -> None:
    """The file `env` for a shell to source."""
    lines = [f"export {key}={shlex.quote(value)}\n" for key, value in pool.environment().items()]
    lines += [f'export PATH={shlex.quote(folder)}:"$PATH"\n' for folder in pool.programs()]
    (pool.folder / "env").write_text("".join(lines))


def usage(pool: Pool) -> None:
    """Say how to use the running pool."""
    me = shlex.quote(str(Path(__file__)))
    say(f"the pool runs as user {pool.user.pw_name}; its files are in {pool.folder}")
    if os.geteuid() == 0:
        say(f"a command as that user:  {me} run -- condor_q")
        say(f"a place for its runs:    {pool.work}")
    else:
        say(f"in your shell:           . {shlex.quote(str(pool.folder / 'env'))}")
    say(f"stop it:                 {me} down")


def start_ticks(pid: int) -> int | None:
    """When a process started, in clock ticks since boot; None if there is no such process or it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def noted_master(pool: Pool) -> tuple[int, int] | None:
    """Pid and start time of the master that was started last."""
    try:
        noted = json.loads(pool.pid_file.read_text())
        return int(noted["pid"]), int(noted["started"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def master_pid(pool: Pool) -> int | None:
    """The pid of the running master."""
    noted = noted_master(pool)
    return noted[0] if noted is not None and start_ticks(noted[0]) == noted[1] else None


def family(pool: Pool) -> list[int]:
    """Daemons and jobs of the pool: HTCondor marks each of its processes with the pids of its ancestors."""
    noted = noted_master(pool)
    if noted is None:
        return []
    mark = f"_CONDOR_ANCESTOR_{noted[0]}=".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            marked = any(value.startswith(mark) for value in (entry / "environ").read_bytes().split(b"\0"))
        except OSError:  # gone, or another user's
            continue
        started = start_ticks(int(entry.name))
        if marked and started is not None and started >= noted[1]:
            found.append(int(entry.name))
    return found


def down(pool: Pool) -> bool:
    """Stop the pool and whatever its jobs left running. False if nothing was running."""
    master = master_pid(pool)
    ran = master is not None
    if master is not None:
        # First gently, which puts the jobs back into the queue, then "fast", then by force.
        for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL):
            os.kill(master, number)
            if wait_until_gone([master], STOP_SECONDS):
                break
    if not wait_until_gone(family(pool), 5):
        for pid in family(pool):
            ran = True
            os.kill(pid, signal.SIGKILL)
        wait_until_gone(family(pool), 5)
    left = family(pool)
    if left:
        raise PoolError(f"These processes of the pool could not be stopped: {left}")
    pool.pid_file.unlink(missing_ok=True)
    return ran


def wait_until_gone(pids: list[int], seconds: float) -> bool:
    """Whether all processes ended within the time."""
    started = {pid: start_ticks(pid) for pid in pids}
    end = time.monotonic() + seconds
    while True:
        if all(ticks is None or start_ticks(pid) != ticks for pid, ticks in started.items()):
            return True
        if time.monotonic() > end:
            return False
        time.sleep(0.1)


def status(pool: Pool) -> int:
    """Print what is running. Exit code 0 if the pool takes jobs, 3 if it is stopped."""
    if master_pid(pool) is None:
        say(f"stopped; its files are in {pool.folder}")
        return 3
    say(f"runs as user {pool.user.pw_name} in {pool.folder}, {len(family(pool)) + 1} processes")
    slots = ["condor_status", "-af:h", "Name", "State", "Cpus", "Memory"]
    for command in (slots, ["condor_q", "-allusers", "-totals"]):
        print((pool.output(command) or f"{command[0]} does not answer").strip())
    return 0


# --- the Python of the jobs ---


def provide_job_python(pool: Pool, source: Path | None, python: str) -> None:
    """Make or bring up to date the virtual environment of the jobs: ccip_batch with CASA and the HTCondor bindings.

    source: a source tree or a wheel of ccip_batch (default: this checkout). The dependencies are installed again
    only if they or the Python have changed, and nothing is while the pool runs: that would take it away under jobs.
    """
    source = (source or checkout() or Path()).resolve()
    wheel = source.is_file()
    if not wheel and not (source / "pyproject.toml").is_file():
        raise PoolError("An installed package has no source tree: name a wheel of ccip_batch with --source.")
    folder = pool.job_python
    if os.geteuid() == 0 and not is_open_to_others(folder):
        raise PoolError(f"{folder} lies below a folder that only its owner can enter; set CCIP_JOB_PYTHON to another.")
    version = run([python, "--version"])
    if wheel:
        needs = package = f"{version}{digest([source])}"
    else:
        project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
        wanted = [project["dependencies"], project["optional-dependencies"]]
        needs = f"{version}{json.dumps(wanted)}"
        parts = ("ccip_batch", "condor", "configs", "container", "pyproject.toml")
        package = needs + digest([source / part for part in parts])
    noted = folder / "ccip-installed.json"
    have = json.loads(noted.read_text()) if noted.is_file() else {}
    if have.get("package") == package:
        say(f"{folder} is up to date")
        return
    if master_pid(pool) is not None:
        raise PoolError(f"{folder} is not up to date, and jobs may be using it; stop the pool first: make pool-down")
    environment = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    if have.get("needs") != needs:
        say(f"making {folder}: CASA and its data are a large download")
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if subprocess.run([python, "-c", "import ensurepip"], capture_output=True).returncode != 0:
            install_package("python3-venv")
        run([python, "-m", "venv", str(folder)])
        run([*pip, f"{source}[casa,htcondor]"], environment)
    else:
        run([*pip, "--no-deps", "--force-reinstall", str(source)], environment)
    noted.write_text(json.dumps({"needs": needs, "package": package}))
    say(f"{folder}/bin/python has ccip_batch with CASA")


def digest(paths: list[Path]) -> str:
    """A hash of files and of the files in folders."""
    total = hashlib.sha256()
    for path in paths:
        files = [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file())
        for file in files:
            if "__pycache__" not in file.parts:
                total.update(str(file).encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


# --- the command line ---


def say(text: str) -> None:
    print(f"pool: {text}", flush=True)


def run(command: list[str], environment: dict[str, str] | None = None) -> str:
    """Run a command and return its output. Raises PoolError with its last lines."""
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise PoolError(f"{shlex.join(command)} failed (exit code {done.returncode}):\n{tail}")
    return done.stdout


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=_variable("CCIP_POOL"), help="the pool's folder [CCIP_POOL]")
    parser.add_argument("--name", default="pool", help="name of the folder if --folder is not given (%(default)s)")
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("up", help="start the pool")
    verb.add_argument("--cpus", type=int, default=_variable("CCIP_POOL_CPUS"), help="cores (all) [CCIP_POOL_CPUS]")
    verb.add_argument("--memory", type=int, default=_variable("CCIP_POOL_MEMORY"), help="MB (all) [CCIP_POOL_MEMORY]")
    verb.add_argument(
        "--memory-policy", action="store_true", default=bool(_variable("CCIP_POOL_MEMORY_POLICY")),
        help="hold jobs that use more memory than they asked for [CCIP_POOL_MEMORY_POLICY]",
    )  # fmt: skip
    verb.add_argument("--apptainer", default=_variable("CCIP_POOL_APPTAINER"), help="its path [CCIP_POOL_APPTAINER]")
    verb.add_argument("--extra", type=Path, help="a file of further lines for the configuration")
    verbs.add_parser("down", help="stop the pool")
    verbs.add_parser("status", help="what runs")
    verb = verbs.add_parser("run", help="run a command as the pool's user")
    verb.add_argument("command", nargs=argparse.REMAINDER)
    verb = verbs.add_parser("job-python", help="the Python environment of the jobs")
    verb.add_argument("--source", type=Path, help="a source tree or a wheel of ccip_batch (default: this checkout)")
    verb.add_argument("--python", default="/usr/bin/python3", help="the Python to use (default: %(default)s)")
    return parser.parse_args()


def _variable(name: str) -> str | None:
    return os.environ.get(name) or None


def main() -> int:
    options = arguments()
    os.umask(0o022)
    folder = options.folder or default_folder(options.name)
    if options.verb == "down":
        try:
            pool = find_pool(folder, create=False)
        except PoolError:
            say("nothing is running")
            return 0
        say("stopped" if down(pool) else "nothing is running")
        return 0
    pool = find_pool(folder, create=options.verb in ("up", "job-python"))
    if options.verb == "up":
        up(pool, options)
    elif options.verb == "status":
        return status(pool)
    elif options.verb == "job-python":
        provide_job_python(pool, options.source, options.python)
    elif options.verb == "run":
        command = options.command[1:] if options.command[:1] == ["--"] else options.command
        if not command:
            raise PoolError("Name a command: pool.py run -- condor_q")
        cwd = Path.cwd() if os.geteuid() != 0 or is_open_to_others(Path.cwd() / "x") else pool.work
        return pool.popen(command, cwd=cwd).wait()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (PoolError, OSError) as error:
        sys.exit(f"pool: {error}")
