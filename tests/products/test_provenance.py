"""That every product of a finished job can be traced: header, manifest, RO-Crate."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
import yaml
from astropy.io import fits

from ccip_batch import __version__
from ccip_batch.job.config import ResolvedJob
from ccip_batch.products.provenance import cards, image


def result(run: Path, node: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "nodes" / node / "result.json").read_text())
    return found


@pytest.fixture(scope="module")
def crate(finished: Path) -> dict[str, dict[str, Any]]:
    """The entities of the RO-Crate, by @id."""
    document = json.loads((finished / "products" / "ro-crate-metadata.json").read_text())
    assert document["@context"] == "https://w3id.org/ro/crate/1.1/context"
    entities = {entity["@id"]: entity for entity in document["@graph"]}
    assert len(entities) == len(document["@graph"])
    return entities


def test_headers_name_versions_and_the_work(finished: Path) -> None:
    versions = result(finished, "export_spw17")["versions"]
    nodes = {result(finished, f"export_{name}")["fingerprint"] for name in ("spw10", "spw12_13", "spw17")}
    nodes.add(result(finished, "publish")["fingerprint"])
    found = set()
    for path in finished.glob("products/*.fits"):
        header = fits.getheader(path)
        assert header["CCIPVER"] == __version__ and header["CASAVER"] == versions["casatools"]
        found.add(header["CCIPNODE"])
    assert found == nodes


def test_manifest_names_software_inputs_and_provenance(finished: Path) -> None:
    root = ElementTree.parse(finished / "products" / "pipeline_manifest.xml").getroot()
    software = {element.get("name"): element.get("version") for element in root.iter("software")}
    assert software == result(finished, "analyze")["versions"]
    given = {element.get("name"): element.get("fingerprint") for element in root.iter("input")}
    assert set(given.values()) == set(json.loads((finished / "dag" / "inputs.json").read_text()).values())
    for kind in ("logs", "report", "configuration", "provenance"):
        element = root.find(kind)
        assert element is not None and (finished / "products" / str(element.get("name"))).is_file()


def test_crate_describes_every_product(finished: Path, crate: dict[str, dict[str, Any]]) -> None:
    assert crate["ro-crate-metadata.json"]["about"] == {"@id": "./"}
    parts = {unquote(part["@id"]) for part in crate["./"]["hasPart"]}
    products = {path.name for path in (finished / "products").iterdir()}
    assert parts == products - {"ro-crate-metadata.json", "SHA256SUMS"}
    for entity in crate.values():
        if entity["@type"] == "File":
            content = (finished / "products" / unquote(entity["@id"])).read_bytes()
            assert entity["sha256"] == hashlib.sha256(content).hexdigest()
            assert int(entity["contentSize"]) == len(content)


def test_crate_refers_to_what_is_in_it(crate: dict[str, dict[str, Any]]) -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["@id"]] if set(value) == {"@id"} else []
            return own + [one for inner in value.values() for one in references(inner)]
        return [one for inner in value for one in references(inner)] if isinstance(value, list) else []

    named = {one for entity in crate.values() for one in references(entity)}
    assert {one for one in named if not one.startswith("http")} <= set(crate)


def test_crate_leads_from_a_product_to_the_inputs(crate: dict[str, dict[str, Any]], finished: Path) -> None:
    product = next(one for one in crate if ".spw17.V." in one and one.endswith(".com.fits"))
    reached: set[str] = set()
    waiting = [product]
    while waiting:
        wanted = waiting.pop()
        for entity in crate.values():
            if entity["@type"] == "CreateAction" and {"@id": wanted} in entity["result"]:
                assert entity["identifier"].endswith(result(finished, entity["@id"][1:])["fingerprint"])
                new = {one["@id"] for one in entity["object"]} - reached
                reached |= new
                waiting += new
    assert {"#input/vis", "#input/reimaging_resources"} <= reached
    assert any(one.endswith(".job.yaml") for one in reached)


def test_job_config_among_the_products_has_no_folders(finished: Path) -> None:
    text = next(finished.glob("products/*.job.yaml")).read_text()
    assert "/" not in yaml.safe_load(text)["inputs"]["vis"] and str(finished.parents[2]) not in text
    full = yaml.safe_load((finished / "job.resolved.yaml").read_text())
    assert yaml.safe_load(text)["iteration_calls"] == full["iteration_calls"]


def test_the_image_is_named_where_there_is_one(finished: Path) -> None:
    job = ResolvedJob.from_yaml((finished / "job.resolved.yaml").read_text())
    assert image(job) == "" and "CCIPIMG" not in cards(job, "0" * 64)
    inside = job.model_copy(update={"versions": {**job.versions, "image": f"sha256:{'a' * 64}"}})
    header = fits.Header()
    header.update(cards(inside, "0" * 64))
    assert header["CCIPIMG"] == "a" * 64 and all(len(str(card)) == 80 for card in header.cards)
