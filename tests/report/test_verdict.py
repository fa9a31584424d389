"""The verdict on a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ccip_batch.report.facts import RunFacts
from ccip_batch.report.verdict import headline, identity, level, plane_counts


def with_states(facts: RunFacts, states: Mapping[str, str], otherwise: str = "done") -> RunFacts:
    nodes = {name: replace(node, state=states.get(name, otherwise)) for name, node in facts.nodes.items()}
    return replace(facts, nodes=nodes)


def test_a_finished_run(facts: RunFacts) -> None:
    assert headline(facts) == "Done: 3 of 4 planes kept."
    assert level(facts) == "good"
    assert [(state, number) for state, number, _ in plane_counts(facts)] == [("kept", 3), ("empty", 1)]
    assert plane_counts(facts)[1][2] == [("9", "completely flagged")]


def test_a_rejected_plane_deserves_attention(facts: RunFacts) -> None:
    planes = [*facts.planes[:-1], replace(facts.planes[-1], state="rejected")]
    assert level(replace(facts, planes=planes)) == "attention"


def test_runs_that_are_not_finished(facts: RunFacts) -> None:
    running = with_states(facts, {"image_spw17": "running", "analyze": "waiting", "publish": "waiting"})
    assert headline(running) == "Under way: 8 of 11 nodes done, now running image_spw17."
    assert headline(with_states(facts, {"publish": "running"})) == "Publishing: 3 of 4 planes kept."
    stopped = with_states(facts, {"publish": "waiting"})
    assert headline(stopped) == "Stopped after 10 of 11 nodes; give the same command again to go on."
    assert headline(with_states(facts, {}, "waiting")) == "No node is done yet."
    assert {level(one) for one in (running, stopped)} == {"waiting"}


def test_runs_that_failed(failed: RunFacts, stopped: RunFacts) -> None:
    assert headline(failed) == "Failed before any plane could be imaged."
    assert headline(stopped) == "Ended with 1 failure: image_spw10; 0 of 4 planes kept."
    running = with_states(stopped, {"image_spw17": "running"})
    assert headline(running).endswith("now running image_spw17; 1 failure so far (image_spw10).")
    assert {level(one) for one in (failed, stopped, running)} == {"bad"}


def test_identity(facts: RunFacts) -> None:
    found = identity(facts)
    assert found["Job"] == facts.job.imagename and found["Tile"] == "T00t00" and found["Epoch"] == "2.1"
    assert "casatools" in found["Versions"] and found["Engine"] == "local, 1 host"
    assert found["CASA self-checks"] != "–"


def test_self_checks_that_differ_are_named(facts: RunFacts) -> None:
    restore = facts.nodes["restore"]
    assert restore.result and restore.result.self_checks
    bare = restore.result.self_checks.model_copy(update={"places": 0, "why_on": "an unknown CASA"})
    nodes = facts.nodes | {"restore": replace(restore, result=restore.result.model_copy(update={"self_checks": bare}))}
    found = identity(replace(facts, nodes=nodes))["CASA self-checks"]
    assert "(restore)" in found and "image_spw10" in found
