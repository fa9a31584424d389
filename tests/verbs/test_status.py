"""What `ccip-batch status` prints, on a terminal of 80 columns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.simulated_runs import ccip_batch

from ccip_batch.run.state import NodeStatus
from ccip_batch.verbs.status import print_status


def test_a_finished_run_is_readable_at_80_columns(finished: Path) -> None:
    done = ccip_batch("status", finished, COLUMNS="80")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    nodes = [line.split()[0] for line in lines[2:] if not line.startswith(" ")]
    assert (nodes[0], nodes[-1]) == ("restore", "publish")
    assert len(lines) - 2 <= 2 * len(nodes)
    assert "empty: completely flagged" in done.stdout
    assert not any(word.endswith("…") for word in done.stdout.split())


def test_what_comes_after_something_outdated_is_outdated(copy: Path) -> None:
    text = (copy / "job.resolved.yaml").read_text()
    (copy / "job.resolved.yaml").write_text(text.replace("beamdev_thresh: 0.2", "beamdev_thresh: 0.3"))
    states = {row["node"]: row["state"] for row in json.loads(ccip_batch("status", copy, "--json").stdout)}
    assert {name for name, state in states.items() if state == "outdated"} == {
        name for name in states if name.startswith(("analyze", "export", "publish"))
    }


def row(**figures: object) -> NodeStatus:
    usual = {
        "node": "image_spw12_13", "state": "running", "stage": "makermsimages", "elapsed_s": 12245.0, "cpu_s": None,
        "peak_memory_bytes": 42_300_000_000, "attempts": 3, "text": "",
    }  # fmt: skip
    return NodeStatus.model_validate({**usual, **figures})


def test_a_run_in_a_pool_fits_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What was asked for, the host and the reason of a hold stay whole; brackets are no markup."""
    monkeypatch.setenv("COLUMNS", "80")
    reason = "it used more memory than it had asked for: [Errno 12]"
    print_status(
        [
            row(memory_asked_bytes=64_000_000_000, host="slot1_7@node.example.org"),
            row(node="image_spw17", state="held", stage="", text=reason, memory_asked_bytes=64_000_000_000),
            row(node="publish", state="waiting", stage="", elapsed_s=None, peak_memory_bytes=None, attempts=0),
        ]
    )
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    words = " ".join(" ".join(lines).split())
    assert "image_spw12_13 running 3:24:05 42.30/64.00 3 on" in words
    assert "node.example.org: makermsimages" in words
    text = " ".join(" ".join(line[45:].split()) for line in lines if "spw17" in line or line.startswith(" " * 40))
    assert text.endswith(reason)


def test_what_no_node_has_takes_no_room(capsys: pytest.CaptureFixture[str]) -> None:
    print_status([row(attempts=1)])
    header = capsys.readouterr().out.splitlines()[0].split()
    assert header == ["node", "state", "elapsed", "CPU", "GB"]


def test_status_of_a_finished_run(finished: Path) -> None:
    done = ccip_batch("status", finished, "--json")
    rows = {row["node"]: row for row in json.loads(done.stdout)}
    assert {row["state"] for row in rows.values()} == {"done"}
    assert next(iter(rows)) == "restore" and list(rows)[-1] == "publish"
    assert rows["image_spw17"]["cpu_s"] > 0 and rows["image_spw17"]["peak_memory_bytes"] > 1e8
