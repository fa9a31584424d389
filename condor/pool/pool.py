#!/usr/bin/env python3
"""A personal HTCondor pool on this machine, to try `ccip-batch` with the HTCondor engine and to test it.

    pool.py up           make HTCondor available, start the pool, wait until it takes jobs
    pool.py status       show what is running
    pool.py run -- CMD   run a command as the pool's user with the pool's environment
    pool.py job-python   make a Python with ccip_batch and CASA that the pool's user can execute
    pool.py down         stop everything

The daemons and the jobs run as one ordinary user: the caller, or, since root may not submit, the system user `ccip`
if the caller is root. All files are in one folder (--folder, or CCIP_POOL): build/pool of the checkout if that user can
reach it, else /var/lib/ccip-batch/pool. HTCondor is taken from the PATH; if it is not there, that of Debian trixie
(23.9.6) is unpacked beside the pool's folder. `--suite sid` (or CCIP_POOL_SUITE) takes that of another Debian release
(25.14.1) for a pool of its own, build/pool-sid, whatever is on the PATH. Needs Python 3.11 and nothing else.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from daemons import down, status, up
from job_python import provide_job_python
from place import PoolError, default_folder, find_pool, is_open_to_others, say


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=_variable("CCIP_POOL"), help="the pool's folder [CCIP_POOL]")
    parser.add_argument("--name", default="pool", help="name of the folder if --folder is not given (%(default)s)")
    parser.add_argument(
        "--suite", default=_variable("CCIP_POOL_SUITE"),
        help="Debian release whose HTCondor it is to be, e.g. sid; added to the folder's name [CCIP_POOL_SUITE]",
    )  # fmt: skip
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
    name = options.name if options.suite is None else f"{options.name}-{options.suite}"
    folder = options.folder or default_folder(name)
    if options.verb == "down":
        try:
            pool = find_pool(folder, options.suite, create=False)
        except PoolError:
            say("nothing is running")
            return 0
        say("stopped" if down(pool) else "nothing is running")
        return 0
    pool = find_pool(folder, options.suite, create=options.verb in ("up", "job-python"))
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
