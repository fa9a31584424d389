"""Where a personal pool is, which user runs it, and commands that are run as that user."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SYSTEM_FOLDER = Path("/var/lib/ccip-batch")
SYSTEM_USER = "ccip"
DEFAULT_SUITE = "trixie"
"""Debian release whose condor (23.9.6) is unpacked where the machine has none. That of sid is 25.14.1."""
PROGRAMS = "programs"
"""Folder of an unpacked HTCondor with links to its programs."""


class PoolError(Exception):
    """Something that the user can fix; the message says how."""


@dataclass(frozen=True)
class Pool:
    """Where the pool is, which user runs it, and which HTCondor."""

    folder: Path
    user: pwd.struct_passwd
    suite: str | None
    """Debian release whose HTCondor it is; None: what is on PATH, or DEFAULT_SUITE's where there is none."""

    @property
    def config(self) -> Path:
        return self.folder / "condor_config"

    @property
    def pid_file(self) -> Path:
        return self.folder / "master.json"

    @property
    def prefix(self) -> Path:
        """Where Debian's HTCondor is unpacked."""
        place = self.folder.parent / f"condor-{self.suite or DEFAULT_SUITE}"
        return Path(os.environ.get("CCIP_CONDOR", place) if self.suite is None else place).resolve()

    @property
    def job_python(self) -> Path:
        """The virtual environment of the jobs."""
        return Path(os.environ.get("CCIP_JOB_PYTHON", self.folder.parent / "job-python")).resolve()

    @property
    def work(self) -> Path:
        """A folder in which the pool's user can write: a place for runs."""
        return self.folder / "work"

    def programs(self) -> list[str]:
        """The folder of the programs of the HTCondor that the pool was set up with, if that was unpacked for it."""
        release = re.search(r"^RELEASE_DIR = (.+)$", self.config.read_text(), re.MULTILINE)
        folder = Path(release[1]).parent / PROGRAMS if release is not None else None
        return [str(folder)] if folder is not None and folder.is_dir() else []

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


def find_pool(folder: Path, suite: str | None, create: bool) -> Pool:
    """The pool in `folder`. With `create` its folders and its user are made."""
    folder = folder.resolve()
    if os.geteuid() != 0:
        user = pwd.getpwuid(os.geteuid())
    else:
        if not is_open_to_others(folder):
            raise PoolError(f"{folder} lies below a folder that only its owner can enter; name another with --folder.")
        user = system_user(create)
    pool = Pool(folder, user, suite)
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


def say(text: str) -> None:
    print(f"pool: {text}", flush=True)


def run(command: list[str], environment: dict[str, str] | None = None) -> str:
    """Run a command and return its output. Raises PoolError with its last lines."""
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-15:])
        raise PoolError(f"{shlex.join(command)} failed (exit code {done.returncode}):\n{tail}")
    return done.stdout
