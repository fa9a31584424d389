"""Stage 5, hifv_flagtargetsdata: the user's own flag commands, if there are any."""

from __future__ import annotations

from pathlib import Path

from ccip_batch import flag_commands as commands_file
from ccip_batch.casa import Casa
from ccip_batch.flag_statistics import FlagCounts, count_flags
from ccip_batch.model import Model


class FlagResult(Model):
    """Flags before and after, and the commands between."""

    commands: list[str]
    before: FlagCounts
    after: FlagCounts


def flagtargetsdata(casa: Casa, vis: str, flag_commands: Path | None) -> FlagResult:
    """Apply a file of flag commands (one a line, as `flagdata(mode='list')` reads them) and count flags.

    Raises ConfigError if a line is none.
    """
    commands = [] if flag_commands is None else commands_file.read(flag_commands)
    before = count_flags(casa, Path(vis))
    if not commands:
        return FlagResult(commands=[], before=before, after=before)
    casa.task("flagdata", vis=vis, mode="list", inpfile=commands, action="apply", flagbackup=False)
    return FlagResult(commands=commands, before=before, after=count_flags(casa, Path(vis)))
