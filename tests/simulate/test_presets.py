from __future__ import annotations

import math
from itertools import pairwise

import pytest

from ccip_batch.errors import ConfigError
from ccip_batch.job.spw_groups import SpwGroup
from ccip_batch.simulate.observation import PHASE_CENTRE, field_name, mosaic
from ccip_batch.simulate.presets import PRESETS, resolve


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_stands_as_it_is(name: str) -> None:
    preset = resolve(name)
    assert len(mosaic(preset)) == preset.fields
    assert name == "rehearsal" or (preset.flagged[9].fraction == 1.0 and "9" in preset.groups)
    spws = [spw for group in preset.groups for spw in SpwGroup.parse(group).spws]
    assert len(set(spws)) == len(spws) and set(spws) <= set(preset.spws)


def test_the_rehearsal_is_as_large_as_a_square_degree() -> None:
    preset = resolve("rehearsal")
    rows = preset.fields * preset.integrations * 351
    assert (rows, preset.channels, preset.cell) == (315_900, 64, 0.6)
    fields = mosaic(preset)
    assert max(field.dec for field in fields) - min(field.dec for field in fields) > math.radians(1.0)
    assert {field.scan for field in fields} == set(range(2, 14))


def test_the_demo_has_a_plane_of_every_kind() -> None:
    preset = resolve("demo")
    assert len(preset.groups) >= 6 and any("," in group for group in preset.groups)
    heavy = {
        spw: [
            flagged.fraction if number < round(flagged.fields * preset.fields) else flagged.elsewhere
            for number in range(preset.fields)
        ]
        for spw, flagged in preset.flagged.items()
    }
    counts = {spw: sum(share > 0.9 for share in shares) for spw, shares in heavy.items()}
    assert preset.nfield_thresh is not None
    assert counts[5] >= preset.nfield_thresh and max(heavy[5]) < 1.0  # rejected before imaging, not empty
    assert counts[15] < preset.nfield_thresh  # imaged, and rejected after
    assert 0.8 <= sum(heavy[15]) / preset.fields < 1.0


def test_sizes_are_overridden_and_sources_stay_on_pixels() -> None:
    preset = resolve("demo", channels=6, fields=4, pixels=300, cell=7.0)
    assert (preset.channels, preset.fields, preset.pixels, preset.cell) == (6, 4, 300, 7.0)
    assert len(mosaic(preset)) == 4
    assert preset.nfield_thresh is not None and preset.nfield_thresh <= round(2 / 3 * 4)
    for source in preset.sources:
        assert math.isclose(source.dx / 7.0, round(source.dx / 7.0))


@pytest.mark.parametrize(
    ("name", "sizes", "said"),
    [
        ("dmeo", {}, "no preset 'dmeo'; choose one of demo"),
        ("demo", {"channels": 4}, "channels=4"),
        ("demo", {"channels": 1, "fields": 0}, "channels=1.*fields=0"),
        ("demo", {"pixels": 20}, "do not cover the sources"),
        ("demo", {"channels": 2.5}, "whole number"),
        ("demo", {"antennas": 3}, "antennas cannot be chosen"),
    ],
)
def test_what_cannot_be_made_is_said(name: str, sizes: dict[str, float], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        resolve(name, **sizes)


def test_fields_are_named_as_the_survey_names_them() -> None:
    assert field_name(*PHASE_CENTRE) == "1333358+164404"
    assert field_name(math.radians(15 * (1 + 2 / 60 + 3.49 / 3600)), math.radians(-(4 + 5 / 60 + 6.9 / 3600))) == (
        "0102034-040506"
    )


def test_rows_run_to_and_fro_and_are_scans() -> None:
    fields = mosaic(resolve("demo"))
    assert [field.scan for field in fields] == [2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert [field.id for field in fields] == list(range(1, 10))
    assert fields[0].ra < fields[2].ra and fields[3].ra > fields[5].ra
    assert all(one.start < other.start for one, other in pairwise(fields))
