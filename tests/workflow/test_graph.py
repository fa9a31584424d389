from __future__ import annotations

from ccip_batch.job.spw_groups import SpwGroup
from ccip_batch.workflow.graph import build_graph


def graph():  # type: ignore[no-untyped-def]
    return build_graph([SpwGroup((2,)), SpwGroup((3, 4)), SpwGroup((17,))])


def test_nodes_in_an_order_in_which_they_can_run() -> None:
    seen: set[str] = set()
    for node in graph().nodes:
        assert seen.issuperset(node.parents), node.name
        seen.add(node.name)


def test_names_are_padded_and_sort_like_the_groups() -> None:
    names = [node.name for node in graph().nodes if node.kind == "image"]
    assert names == ["image_spw02", "image_spw03_04", "image_spw17"]
    assert names == sorted(names)


def test_a_failed_plane_holds_up_nothing_but_its_own_export() -> None:
    assert set(graph()["analyze"].may_fail) == {"image_spw02", "image_spw03_04", "image_spw17"}
    assert "image_spw02" in graph()["export_spw02"].parents
    assert not graph()["export_spw02"].may_fail
    assert set(graph()["publish"].may_fail) == {"export_spw02", "export_spw03_04", "export_spw17"}


def test_planes_wait_for_nothing_of_each_other() -> None:
    assert graph()["image_spw17"].parents == ("restore",)
