"""Why HTCondor holds a job, in plain words."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from enum import StrEnum


class HoldKind(StrEnum):
    """What kind of reason a hold has: decides what can be done about it."""

    USER = "user"
    MEMORY = "memory"
    DISK = "disk"
    TIME = "time"
    INPUT = "input"
    OUTPUT = "output"
    START = "start"
    CONTAINER = "container"
    CHECKPOINT = "checkpoint"
    POLICY = "policy"
    OTHER = "other"


@dataclass(frozen=True)
class Hold:
    """A hold of a job."""

    code: int
    """HoldReasonCode of HTCondor."""
    subcode: int
    """HoldReasonSubCode: its meaning depends on the code; for file transfer it is the system's errno."""
    reason: str
    """HTCondor's own text."""

    @property
    def kind(self) -> HoldKind:
        """The kind of reason."""
        if self.code in _OUT_OF_RESOURCES:
            # Sub-codes 102 and 104 say which resource; HTCondor before 24.0.12 and 25.0.1 gives 0 for memory.
            if self.subcode == _DISK or (self.subcode != _MEMORY and "disk" in self.reason.lower()):
                return HoldKind.DISK
            if self.subcode == _MEMORY or self.code == _JOB_OUT_OF_RESOURCES or "memory" in self.reason.lower():
                return HoldKind.MEMORY
            return HoldKind.OTHER
        if self.code in (_TRANSFER_OUTPUT, _TRANSFER_INPUT) and self.subcode in (errno.ENOSPC, errno.EDQUOT):
            return HoldKind.DISK
        if (self.code, self.subcode) == _OWN_TIME_LIMIT:
            return HoldKind.TIME
        return _CODES.get(self.code, (HoldKind.OTHER, ""))[0]

    @property
    def is_shortage(self) -> bool:
        """Whether the job had asked for too little by its codes: common.sub lets it ask for more after that."""
        of_machine = self.code == _HELD_BY_MACHINE and self.subcode in (_MEMORY, _DISK)
        return of_machine or self.code == _JOB_OUT_OF_RESOURCES

    @property
    def words(self) -> str:
        """The reason as a sentence for the user, without HTCondor's text."""
        if self.kind is HoldKind.MEMORY:
            return "it used more memory than it had asked for"
        if self.kind is HoldKind.DISK:
            return "the disk space was used up, or it used more than it had asked for"
        if (self.code, self.subcode) == _OWN_TIME_LIMIT:
            return "it ran longer than it had asked for"
        words = _CODES.get(self.code, (HoldKind.OTHER, f"HTCondor's hold code {self.code}/{self.subcode}"))[1]
        if self.code in _SYSTEM_ERROR and self.subcode in errno.errorcode and _BY_URL not in self.reason:
            words += f": {os.strerror(self.subcode).lower()}"
        return words


_OWN_TIME_LIMIT = (3, 47)
"""Of periodic_hold in common.sub."""
_BY_URL = "using protocol"
"""In the reason of a transfer by URL that failed: its sub-code is no errno."""
_TRANSFER_OUTPUT = 12
_TRANSFER_INPUT = 13
_JOB_OUT_OF_RESOURCES = 34
_HELD_BY_MACHINE = 21
_OUT_OF_RESOURCES = (_HELD_BY_MACHINE, _JOB_OUT_OF_RESOURCES)
_MEMORY = 102
_DISK = 104
_SYSTEM_ERROR = (6, 7, 8, 9, 10, _TRANSFER_OUTPUT, _TRANSFER_INPUT, 14)
"""Codes whose sub-code is an errno."""

_CODES = {
    1: (HoldKind.USER, "held by its user"),
    3: (HoldKind.POLICY, "held by the job's own policy"),
    4: (HoldKind.OTHER, "its credentials are not valid"),
    5: (HoldKind.POLICY, "a policy of the job could not be evaluated"),
    6: (HoldKind.START, "its program could not be started"),
    7: (HoldKind.START, "the file for its standard output could not be opened"),
    8: (HoldKind.START, "the file for its standard input could not be opened"),
    9: (HoldKind.START, "the stream of its standard output could not be opened"),
    10: (HoldKind.START, "the stream of its standard input could not be opened"),
    12: (HoldKind.OUTPUT, "its output files could not be transferred back"),
    13: (HoldKind.INPUT, "its input files could not be transferred to it"),
    14: (HoldKind.START, "its working folder could not be entered"),
    15: (HoldKind.USER, "it was submitted on hold"),
    16: (HoldKind.INPUT, "its input files are being spooled; it goes on by itself"),
    21: (HoldKind.OTHER, "held by the machine it ran on"),
    22: (HoldKind.START, "its event log could not be written"),
    23: (HoldKind.START, "the account of its user was not accessible"),
    26: (HoldKind.POLICY, "held by a policy of the access point"),
    27: (HoldKind.POLICY, "a policy of the access point could not be evaluated"),
    32: (HoldKind.INPUT, "its input files are larger than the pool allows"),
    33: (HoldKind.OUTPUT, "its output files are larger than the pool allows"),
    35: (HoldKind.CONTAINER, "its container image is not valid or could not be fetched"),
    36: (HoldKind.CHECKPOINT, "its checkpoint could not be saved"),
    45: (HoldKind.CONTAINER, "the container runtime of the machine did not work"),
    46: (HoldKind.TIME, "it ran longer than its job duration category allows"),
    47: (HoldKind.TIME, "it executed longer than it may"),
}
"""HoldReasonCode: its kind and its meaning."""
