"""The faults: each a function that sets one on a case, and then looks whether it was survived."""

from __future__ import annotations

import json
import os
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from case import NODES, Case, ImpossibleError, LostError, MissedError

STAGES = {
    "restore": ["resources", "importdata", "transformimagedata", "restorepims", "flagtargetsdata", "splitgroups"],
    "image": ["makeimages", "pbcor", "makermsimages", "makecutoutimages", "exportnative", "previews"],
    "analyze": ["analyzestokescubes"],
    "export": ["exportvlassdata"],
    "publish": ["publish"],
}

Event = tuple[str, Callable[[], bool]]


def _reads(path: Path, text: str) -> bool:
    try:
        return text in path.read_text()
    except OSError:
        return False


def _iteration(folder: Path) -> int:
    try:
        return int(json.loads((folder / "checkpoint" / "state.json").read_bytes())["iteration"])
    except (OSError, ValueError):
        return -1


def event_of(case: Case, kind: str) -> Event:
    """A moment in the life of a node, chosen by the seed; all can be seen from outside."""
    folder = case.node(kind)
    out = {"export": case.run / "planes/spw17", "publish": case.run / "products"}.get(kind, folder / "out")
    stage = case.rng.choice(STAGES[kind])
    iteration = case.rng.randrange(4)
    events: list[Event] = [
        ("the folder is prepared", lambda: (folder / "work" / "out").is_dir()),
        (f"stage {stage} starts", lambda: _reads(folder / "progress.json", f'"{stage}"')),
        (f"stage {stage} ends", lambda: any(folder.glob(f"stages/*_{stage}.json"))),
        ("the worker is done", lambda: (folder / "work" / "outcome.json").exists()),
        ("the output is renamed", lambda: out.is_dir()),
        ("the result is written", lambda: (folder / "result.json").exists()),
    ]
    if kind == "image":
        events += 3 * [(f"checkpoint of iter{iteration}", lambda: _iteration(folder) >= iteration)]
    return case.rng.choice(events)


def _at_a_moment(case: Case, kind: str) -> None:
    """Wait for an event of a node, and a little longer."""
    name, happened = event_of(case, kind)
    delay = case.rng.choice([0.0, case.rng.uniform(0, 0.05), case.rng.uniform(0, 1.0)])
    case.notes.append(f"{name} + {delay:.3f} s")
    case.wait_for(happened)
    time.sleep(delay)


def kill(kind: str) -> Callable[[Case], None]:
    """kill -9 of the run, of the supervisor or of the worker of a node."""

    def fault(case: Case) -> None:
        case.prepare(kind)
        case.start()
        target = case.rng.choice(["run", "supervisor", "worker"])
        _at_a_moment(case, kind)
        case.notes.append(target)
        assert case.process is not None
        engine = psutil.Process(case.process.pid)
        try:
            victim = {"run": lambda: engine, "supervisor": case.supervisor, "worker": case.worker}[target]()
        except MissedError:  # that one has done its part: then the run itself
            case.notes.append("which had ended, so the run")
            victim = engine
        victim.kill()
        code, _ = case.end()
        case.notes.append(f"exit code {code}")
        case.finish()

    return fault


def kill_at_the_end(case: Case) -> None:
    """kill -9 of the run while it writes the report, checks the products and cleans up."""
    case.prepare("publish")
    case.start("execution.keep=products")
    history = case.run / "dag" / "history.jsonl"
    before = history.stat().st_size
    name, happened = case.rng.choice(
        [
            ("the engine has ended", lambda: history.stat().st_size > before),
            ("cleaning", lambda: (case.node("restore") / "cleaned").exists()),
        ]
    )
    case.notes.append(name)
    case.wait_for(happened)
    time.sleep(case.rng.choice([0.0, case.rng.uniform(0, 3.0)]))
    assert case.process is not None
    case.process.kill()
    case.end()
    case.finish()


def stop(number: signal.Signals) -> Callable[[Case], None]:
    """SIGTERM, or Ctrl-C."""

    def fault(case: Case) -> None:
        kind = case.rng.choice(list(NODES))
        case.prepare(kind)
        case.start()
        case.notes.append(kind)
        _at_a_moment(case, kind)
        assert case.process is not None
        case.process.send_signal(number)
        code, printed = case.end()
        if code == 0:
            raise MissedError("the run ended before")
        if code not in (130, -number):  # the engine may have just ended, and the default action be in force
            raise LostError(f"exit code {code} after {number.name}:\n{printed}")
        case.finish()

    return fault


def disk_full(kind: str) -> Callable[[Case], None]:
    """A disk that fills while a node works: a small file system with a part of the space that the node needs."""

    def fault(case: Case) -> None:
        _mount("tmpfs", case.folder, "-t", "tmpfs", "-o", "size=256m")
        try:
            case.prepare(kind)
            share = case.rng.uniform(0.02, 0.8)
            room = int(share * case.reference.bytes_of(NODES[kind]))
            ballast = case.folder / "ballast"
            with ballast.open("wb") as out:
                os.posix_fallocate(out.fileno(), 0, shutil.disk_usage(case.folder).free - room)
            case.notes.append(f"{room / 1e6:.2f} MB free")
            case.start()
            case.fails("disk is full", "The disk is full")
            ballast.unlink()
            case.finish()
        finally:
            case.stop()
            subprocess.run(["umount", "-l", str(case.folder)], check=False)

    return fault


def _mount(*arguments: str | Path, **_: str) -> None:
    source, target, *options = arguments
    done = subprocess.run(["mount", *map(str, options), str(source), str(target)], capture_output=True, text=True)
    if done.returncode != 0:
        raise ImpossibleError(f"no mount: {done.stderr.strip()}")


def memory_limit(case: Case) -> None:
    """A limit of the address space that a worker reaches at once."""
    kind = case.rng.choice(["restore", "image", "export"])
    case.prepare(kind)
    case.start()
    stage = {"restore": "restorepims", "image": "makeimages", "export": "exportvlassdata"}[kind]
    case.notes.append(kind)
    case.wait_for(lambda: _reads(case.node(kind) / "progress.json", f'"{stage}"'))
    worker = case.worker()
    limit = worker.memory_info().vms + case.rng.randrange(1, 4_000_000)
    worker.rlimit(psutil.RLIMIT_AS, (limit, limit))
    case.fails("memory", "Memory")
    case.finish()


def abort(case: Case) -> None:
    """A CASA process that aborts."""
    kind = case.rng.choice(list(NODES))
    case.prepare(kind)
    case.start()
    case.notes.append(kind)
    _at_a_moment(case, kind)
    case.worker().send_signal(signal.SIGABRT)
    case.fails("SIGABRT")
    case.finish()


def hang(case: Case) -> None:
    """A CASA process that hangs: it is stopped, and the watchdog must end it."""
    kind = case.rng.choice(list(NODES))
    case.prepare(kind)
    case.start("execution.time_limit=20")
    case.notes.append(kind)
    case.wait_for(lambda: (case.node(kind) / "progress.json").exists())
    worker = case.worker()
    worker.suspend()
    case.fails("assumed to hang")
    if worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
        raise LostError("the process that hung is still there")
    case.finish()


def other_dates(case: Case) -> None:
    """All files of the run dated far into the future or the past, as after a clock that was wrong."""
    case.prepare("analyze")
    for path in case.run.rglob("*"):
        then = time.time() + case.rng.uniform(-20, 20) * 3.15e7
        os.utime(path, (then, then))
    before = (case.node("image") / "result.json").read_bytes()
    case.finish()
    if (case.node("image") / "result.json").read_bytes() != before:
        raise LostError("a plane was imaged again")


def clock_jumps(case: Case) -> None:
    """The clock of all processes jumps by days while they run (needs a C compiler)."""
    library, clock = case.folder / "clock.so", case.folder / "clock"
    compiler = shutil.which("cc")
    if compiler is None:
        raise ImpossibleError("there is no C compiler")
    source = Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, source], check=True)
    clock.write_bytes(struct.pack("=q", 0))
    kind = case.rng.choice(list(NODES)[1:])
    case.prepare(kind)
    case.start(LD_PRELOAD=str(library), CCIP_CHAOS_CLOCK=str(clock))
    days = case.rng.choice([-400, -2, 2, 400])
    case.notes.append(f"{kind}, {days} days")
    _at_a_moment(case, kind)
    with clock.open("r+b") as file:
        file.write(struct.pack("=q", days * 86400))
    code, printed = case.end()
    if code != 0:
        raise LostError(f"exit code {code}:\n{printed}")
    case.check()


def read_only_inputs(case: Case) -> None:
    """Inputs on a file system that is read-only."""
    case.own_inputs()
    _mount(case.inputs, case.inputs, "--bind")
    try:
        _mount("none", case.inputs, "-o", "remount,bind,ro")
        case.prepare("restore")
        case.finish()
    finally:
        subprocess.run(["umount", "-l", str(case.inputs)], check=False)


def changing_inputs(case: Case) -> None:
    """An input that changes while a node reads it."""
    case.own_inputs()
    kind = case.rng.choice(["restore", "restore", "publish"])
    case.prepare(kind)
    patterns = {"restore": ("*.ms/table.f[0-9]*", "*.ms/FIELD/table.dat", "*.tgz"), "publish": ("*.list",)}[kind]
    victim = case.rng.choice(
        sorted(path for pattern in patterns for path in case.inputs.glob(pattern) if path.stat().st_size)
    )
    whole = victim.read_bytes()
    stage = case.rng.choice(STAGES[kind])
    case.start()
    case.wait_for(lambda: _reads(case.node(kind) / "progress.json", f'"{stage}"'))
    place = case.rng.randrange(len(whole))
    victim.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    case.notes.append(f"{kind}: byte {place} of {victim.name}")
    case.fails("changed while the run was at work")
    victim.write_bytes(whole)
    case.finish()


def _intermediate(case: Case) -> Path:
    """A file that a node left for others, those others still to run; or a record."""
    maker, readers = case.rng.choice(
        [
            ("restore", ("image",)),
            ("image", ("analyze", "export")),
            ("export", ("publish",)),
            ("records", ("publish",)),
        ]
    )
    case.prepare(*readers)
    if maker == "records":
        files = [*case.run.glob("nodes/*/result.json"), case.run / "dag" / "inputs.json"]
    else:
        folder = case.run / "planes/spw17" if maker == "export" else case.node(maker) / "out"
        files = [path for path in folder.rglob("*") if path.is_file() and path.name != "table.lock"]
    return case.rng.choice(sorted(path for path in files if path.stat().st_size))


def truncated(case: Case) -> None:
    """A file between two nodes that is cut, emptied or gone."""
    victim = _intermediate(case)
    how = case.rng.choice(["cut", "empty", "gone"])
    case.notes.append(f"{victim.relative_to(case.run)} {how}")
    if how == "gone":
        victim.unlink()
    else:
        os.truncate(victim, case.rng.randrange(1, victim.stat().st_size) if how == "cut" else 0)
    case.finish(tries=2)


def corrupted(case: Case) -> None:
    """A file between two nodes, or a result, of which one bit was changed."""
    victim = _intermediate(case)
    content = bytearray(victim.read_bytes())
    place = case.rng.randrange(len(content))
    content[place] ^= 1 << case.rng.randrange(8)
    case.notes.append(f"{victim.relative_to(case.run)} at byte {place}")
    victim.write_bytes(content)
    case.finish(tries=2)


def two_engines(case: Case) -> None:
    """A second run in the same folder, while the first is at work."""
    kind = case.rng.choice(["image", "export"])
    case.prepare(kind)
    case.start()
    first = case.process
    case.wait_for((case.node(kind) / "progress.json").exists)
    case.start()
    code, printed = case.end()
    if code != 12 or "in use by another run" not in printed:
        raise LostError(f"the second run ended with exit code {code}:\n{printed}")
    case.process = first
    code, printed = case.end()
    if code != 0:
        raise LostError(f"the first run ended with exit code {code}:\n{printed}")
    case.check()


KILLS = {f"kill -9 in {kind}": kill(kind) for kind in NODES} | {"kill -9 after the last node": kill_at_the_end}
OTHERS: dict[str, Callable[[Case], None]] = {
    "SIGTERM": stop(signal.SIGTERM),
    "Ctrl-C": stop(signal.SIGINT),
    **{f"disk full in {kind}": disk_full(kind) for kind in NODES},
    "memory limit": memory_limit,
    "CASA aborts": abort,
    "CASA hangs": hang,
    "files of other dates": other_dates,
    "the clock jumps": clock_jumps,
    "read-only inputs": read_only_inputs,
    "inputs change during the run": changing_inputs,
    "intermediate file truncated": truncated,
    "a bit changed afterwards": corrupted,
    "two engines in one folder": two_engines,
}
