"""The kinds of node, in one table: what each waits for, reads and leaves, and what is cleaned.

restore -> image (one per spw group) -> analyze -> export (one per spw group) -> publish

What a kind computes is in nodes/<kind>.py, what it needs in estimates.py, which options its work depends on in
run/fingerprint.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["restore", "image", "analyze", "export", "publish"]


@dataclass(frozen=True)
class NodeKind:
    """What the nodes of a kind have in common."""

    parents: tuple[Kind, ...] = ()
    """Kinds whose nodes must have ended before. If both kinds have a node per group, a node waits for that of its own
    group; a node for all groups waits for each of them."""
    may_fail: tuple[Kind, ...] = ()
    """Parents without which a node goes on, and says so."""
    per_group: bool = False
    """Whether there is one for each spw group."""
    inputs: tuple[str, ...] = ()
    """Inputs of the job whose content it reads, by their keys in the config."""
    reads: Mapping[Kind, tuple[str, ...]] = field(default_factory=dict)
    """What it reads of its parents' output: names or patterns, in which `{group}` stands for the node's group. Of
    parents that are not named it reads the results alone. One that gathers reads of all nodes."""
    leaves: str = "nodes/{node}/out"
    """Where its output goes in the run folder, with `{node}` and `{group}` for the names."""
    cleaned: bool = False
    """Whether its output is removed when the products are verified (`execution.keep`)."""
    gathers: bool = False
    """Whether it gathers what all nodes left. Where files are transferred, it gets their records and logs; the planes'
    files, which it only passes on, do not travel, but are linked beside what it made where they are."""
    checkpoints: bool = False
    """Whether it saves its work on the way, and goes on from there."""
    own_target_only: bool = False
    """Whether it depends on its own target alone, and not on what else its parents made."""
    always_runs: bool = False
    """Whether its job runs also if it is done: it must say each time that planes are missing."""


KINDS: dict[Kind, NodeKind] = {
    "restore": NodeKind(inputs=("vis", "reimaging_resources", "flag_commands"), cleaned=True),
    "image": NodeKind(
        parents=("restore",),
        per_group=True,
        reads={"restore": ("{group}.ms", "tier1.mask", "tier2.mask")},
        checkpoints=True,
        own_target_only=True,
    ),
    "analyze": NodeKind(parents=("restore", "image"), may_fail=("image",), reads={"image": ("samples.npz",)}),
    "export": NodeKind(
        parents=("restore", "image", "analyze"),
        per_group=True,
        reads={"image": ("*.fits", "image.pbcor.subim")},
        leaves="planes/{group}",
    ),
    "publish": NodeKind(
        parents=("analyze", "export"),
        may_fail=("export",),
        # the job has in it what the lists say; the files themselves are products
        inputs=("seip_parameter_list", "ccip_parameter_list"),
        # for the mean V image, and for the report
        reads={"export": ("*.V.iter3.image.pbcor.tt0.subim.fits",), "image": ("previews.npz",)},
        leaves="products",
        gathers=True,
        always_runs=True,
    ),
}
"""In the order in which they run."""
