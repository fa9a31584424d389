"""Stage 5, hifv_flagtargetsdata: the user's own flag commands, if there are any."""

from __future__ import annotations

from pathlib import Path

from ccip_batch.casa import Casa
from ccip_batch.flag_statistics import FlagCounts, count_flags
from ccip_batch.model import Model


class FlagResult(Model):
    """Flags before and after, and the commands between."""

    commands: list[str]
    before: FlagCounts
    after: FlagCounts


def flagtargetsdata(casa: Casa, vis: str, flag_commands: Path | None) -> FlagResult:
    """Apply a file of flag commands (one a line, as `flagdata(mode='list')` reads them) and count flags."""
    commands = [] if flag_commands is None else _commands(flag_commands)
    before = count_flags(casa, Path(vis))
    if not commands:
        return FlagResult(commands=[], before=before, after=before)
    casa.task("flagdata", vis=vis, mode="list", inpfile=commands, action="apply", flagbackup=False)
    return FlagResult(commands=commands, before=before, after=count_flags(casa, Path(vis)))


def _commands(path: Path) -> list[str]:
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]
