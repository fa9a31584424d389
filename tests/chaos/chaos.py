"""The fault suite: sets faults on runs of a small job, and prints how often each was tried and survived.

    python tests/chaos/chaos.py [--seed N] [--count KILLS] [--times N] [--short] [--only PATTERN]

The same seed draws the same faults at the same moments (as far as the machine keeps its pace). A fault is survived if
another run gives the same pixels, or says what is wrong and gives them when that is mended; if no process is left; and
if the inputs are as they were.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from case import ROOT, Case, ImpossibleError, LostError, MissedError, Reference
from faults import KILLS, OTHERS

BUILD = ROOT / "build" / "chaos"
NAMESPACE = "CCIP_CHAOS_NAMESPACE"
DRAWS = 4
"""How often a case is drawn again if its run was over before the fault came."""
SHORT_OTHERS = (
    "Ctrl-C",
    "CASA aborts",
    "CASA hangs",
    "disk full in export",
    "inputs change during the run",
    "a bit changed afterwards",
)
"""What the short form tries once, besides a kill of each kind."""


@dataclass
class Outcome:
    """What became of one case."""

    fault: str
    verdict: str
    """survived, LOST, missed, or not possible here."""
    text: str


def main(arguments: Sequence[str]) -> int:
    """Run the suite; 1 if anything was lost."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=50, help="how many kills")
    parser.add_argument("--times", type=int, default=3, help="how often each other fault")
    parser.add_argument("--short", action="store_true", help="each kill, and a few other faults, once")
    parser.add_argument("--only", default="", help="only faults whose name fits this regular expression")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--hours", type=float, default=3.0, help="no case is started later")
    given = parser.parse_args(arguments)
    _enter_namespace()

    BUILD.mkdir(parents=True, exist_ok=True)
    reference = Reference(BUILD)
    cases = [(name, fault) for name, fault in _chosen(given) if re.search(given.only, name)]
    end = time.monotonic() + 3600 * given.hours
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(given.workers) as pool:
        futures = [
            pool.submit(_try, reference, name, fault, f"{given.seed}-{number}", end)
            for number, (name, fault) in enumerate(cases)
        ]
        for number, future in enumerate(futures, 1):
            outcome = future.result()
            outcomes.append(outcome)
            print(f"{number}/{len(cases)} {outcome.fault}: {outcome.verdict}: {outcome.text}", flush=True)
    _print_table(outcomes, given.seed)
    return int(any(outcome.verdict == "LOST" for outcome in outcomes))


def _chosen(given: argparse.Namespace) -> list[tuple[str, Callable[[Case], None]]]:
    """The cases: kills spread over all kinds of nodes, and other faults."""
    kills = list(KILLS.items())
    random.Random(given.seed).shuffle(kills)
    count = len(KILLS) if given.short else given.count
    chosen = [kills[number % len(kills)] for number in range(count)]
    others = [(name, OTHERS[name]) for name in SHORT_OTHERS] if given.short else given.times * list(OTHERS.items())
    return chosen + others


def _try(reference: Reference, name: str, fault: Callable[[Case], None], seed: str, end: float) -> Outcome:
    """Set a fault; draw again if its moment was missed."""
    text = "no time left"
    for draw in range(DRAWS):
        if time.monotonic() > end:
            break
        folder = BUILD / f"case-{seed}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        case = Case(reference, folder, random.Random(f"{seed}-{draw}"))
        try:
            fault(case)
            shutil.rmtree(folder, ignore_errors=True)
            return Outcome(name, "survived", "; ".join(case.notes))
        except MissedError as error:
            text = f"{error}; {'; '.join(case.notes)}"
        except ImpossibleError as error:
            return Outcome(name, "not possible here", str(error))
        except LostError as error:
            return Outcome(name, "LOST", f"{'; '.join(case.notes)}; see {folder}: {error}")
        except Exception:
            return Outcome(name, "LOST", f"{'; '.join(case.notes)}; see {folder}: {traceback.format_exc()}")
        finally:
            case.stop()
    return Outcome(name, "missed", text)


def _print_table(outcomes: Sequence[Outcome], seed: int) -> None:
    verdicts = Counter((outcome.fault, outcome.verdict) for outcome in outcomes)
    print(f"\nseed {seed}\n{'fault':32}{'tried':>6}{'survived':>10}")
    for fault in dict.fromkeys(outcome.fault for outcome in outcomes):
        survived, lost = verdicts[fault, "survived"], verdicts[fault, "LOST"]
        others = [
            f"{verdicts[fault, other]} {other}" for other in ("missed", "not possible here") if verdicts[fault, other]
        ]
        print(f"{fault:32}{survived + lost:6}{survived:10}  {', '.join(others)}")


def _enter_namespace() -> None:
    """Start again in a mount namespace of our own, if that is permitted: file systems mounted there end with it."""
    if NAMESPACE in os.environ:
        return
    os.environ[NAMESPACE] = "1"
    for options in (["-m"], ["-r", "-m"]):
        if (
            shutil.which("unshare")
            and subprocess.run(["unshare", *options, "true"], capture_output=True).returncode == 0
        ):
            os.execvp("unshare", ["unshare", *options, "--propagation", "private", sys.executable, *sys.argv])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
