"""Parts of a node's work that end in every way there is, for test_side_by_side.py."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
from pathlib import Path

from ccip_batch.casa import side_by_side
from ccip_batch.casa.session import Casa
from ccip_batch.errors import CcipError, DataError
from ccip_batch.records import Model


class Answer(Model):
    process: int
    number: int


def work(casa: Casa, number: int, how: str) -> Answer:
    casa.record(f"casatasks.statwt(vis={number})")
    if how == "abort":
        os.abort()
    elif how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "kill_when_waiting":
        while not list(Path().glob("waiting*")):
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "disk":
        raise OSError(errno.ENOSPC, "No space left on device")
    elif how == "memory":
        raise MemoryError
    elif how == "data":
        raise DataError("the rows are not those")
    elif how == "casa":
        casa.task("statwt", vis="nothing.ms")
    elif how == "error":
        raise ValueError("not foreseen")
    elif how == "wait":
        Path(f"waiting{os.getpid()}").touch()
        time.sleep(600)
    return Answer(process=os.getpid(), number=number)


def main(*cases: str) -> None:
    """Run cases in turn, and print the answers, or the failure, of each.

    cases: such as `2,ok,kill`: how many parts at once, then a word for each part, `p0`, `p1`, ...
    """
    casa = Casa(Path("../casa.log"), Path("../casa_commands.py"))
    for case in cases:
        at_once, *hows = case.split(",")
        parts = {f"p{number}": {"number": number, "how": how} for number, how in enumerate(hows)}
        try:
            for answer in side_by_side.run(casa, Path("../casa.log"), work, Answer, parts, int(at_once)):
                print(answer.process, answer.number)
        except CcipError as error:
            print(int(error.exit_code), error)


if __name__ == "__main__":
    import parts

    parts.main(*sys.argv[1:])
