"""The table of the kinds of node fits itself and the job config."""

from __future__ import annotations

from ccip_batch.job.config import Inputs
from ccip_batch.job.spw_groups import SpwGroup
from ccip_batch.workflow.graph import build_graph
from ccip_batch.workflow.kinds import KINDS


def test_parents_come_before_and_what_is_said_of_them_is_of_parents() -> None:
    before: set[str] = set()
    for kind, about in KINDS.items():
        assert before.issuperset(about.parents), kind
        assert set(about.parents).issuperset(about.may_fail), kind
        assert (before if about.gathers else set(about.parents)).issuperset(about.reads), kind
        before.add(kind)


def test_every_input_of_a_job_is_read_by_one_kind() -> None:
    read = [name for about in KINDS.values() for name in about.inputs]
    assert sorted(read) == sorted(Inputs.model_fields)


def test_what_is_cleaned_can_be_made_again_from_the_inputs_alone() -> None:
    assert [kind for kind, about in KINDS.items() if about.cleaned and about.parents] == []


def test_a_plane_reads_the_data_of_its_own_group_alone() -> None:
    graph = build_graph([SpwGroup((2,)), SpwGroup((3, 4))])
    image = graph["image_spw03_04"]
    assert image.reads_of(graph["restore"]) == ("spw03_04.ms", "tier1.mask", "tier2.mask")
    assert graph["export_spw02"].reads_of(graph["analyze"]) == ()
