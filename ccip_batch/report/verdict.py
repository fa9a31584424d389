"""What became of a run, in sentences."""

from __future__ import annotations

from ccip_batch.products.fits import ImageName
from ccip_batch.report.facts import STATES, RunFacts
from ccip_batch.report.words import count, duration


def headline(facts: RunFacts) -> str:
    """The run in one sentence."""
    kept = facts.count("kept")
    planes = f"{kept} of {count(len(facts.planes), 'plane')} kept"
    if facts.state == "done":
        return f"Done: {planes}."
    failed = [node.node.name for node in facts.failed]
    if facts.state == "under way":
        running = [node.node.name for node in facts.nodes.values() if node.state == "running"]
        if running == ["publish"] and not failed:
            return f"Publishing: {planes}."
        so_far = sum(1 for node in facts.nodes.values() if node.state == "done")
        trouble = f"; {count(len(failed), 'failure')} so far ({', '.join(failed)})" if failed else ""
        return f"Under way: {so_far} of {len(facts.nodes)} nodes done, now running {', '.join(running)}{trouble}."
    if facts.state == "failed":
        if failed == ["restore"]:
            return "Failed before any plane could be imaged."
        return f"Ended with {count(len(failed), 'failure')}: {', '.join(failed)}; {planes}."
    done = sum(1 for node in facts.nodes.values() if node.state == "done")
    if done == 0:
        return "No node is done yet."
    return f"Stopped after {done} of {len(facts.nodes)} nodes; give the same command again to go on."


def level(facts: RunFacts) -> str:
    """`good`, `attention`, `bad`, `waiting`."""
    if facts.failed:
        return "bad"
    if facts.state != "done":
        return "waiting"
    if facts.analysis and facts.analysis.flux_jumps:
        return "attention"
    return "attention" if facts.count("rejected") + facts.count("rejected before imaging") else "good"


def plane_counts(facts: RunFacts) -> list[tuple[str, int, list[tuple[str, str]]]]:
    """(state, number of planes, (spw, reason) of each) for the states that occur."""
    found = []
    for state in STATES:
        planes = [(plane.spw, plane.reason) for plane in facts.planes if plane.state == state]
        if planes:
            found.append((state, len(planes), planes))
    return found


def identity(facts: RunFacts) -> dict[str, str]:
    """What was observed, and what it cost."""
    name = ImageName.parse(facts.job.imagename)
    versions = next((node.result.versions for node in facts.nodes.values() if node.result), facts.job.versions)
    hosts = sorted({end.host for node in facts.nodes.values() if (end := node.failure or node.result)})
    return {
        "Job": facts.job.imagename,
        "Measurement set": f"{facts.job.root}.ms",
        "Tile": name.tile or "–",
        "Epoch": name.epoch or "–",
        "Phase centre": facts.job.phasecenter,
        "Wall time": duration(facts.wall_s),
        "CPU time": duration(facts.cpu_s),
        "Engine": f"{facts.job.execution.engine}, {count(len(hosts), 'host')}" if hosts else facts.job.execution.engine,
        "Versions": ", ".join(f"{key} {value}" for key, value in versions.items()),
        "CASA self-checks": _self_checks(facts),
    }


def _self_checks(facts: RunFacts) -> str:
    """Whether casacore's checks of itself were off, which makes CASA faster and changes no bit."""
    said: dict[str, list[str]] = {}
    for name, node in facts.nodes.items():
        if node.result and node.result.self_checks:
            said.setdefault(node.result.self_checks.sentence(), []).append(name)
    if len(said) < 2:
        return next(iter(said), "–")
    return "; ".join(f"{sentence} ({', '.join(nodes)})" for sentence, nodes in said.items())
