"""The end of stage 12: the products of all planes in one folder, with manifest and checksums."""

from __future__ import annotations

import io
import re
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree

from astropy.io import fits

from ccip_batch.cube.vmean import mean_v_of
from ccip_batch.job.config import ResolvedJob
from ccip_batch.products.provenance import CRATE, Provenance, cards, image, portable_job, write_crate
from ccip_batch.records import Model, link_or_copy
from ccip_batch.run.checksums import ProductFile
from ccip_batch.run.gathering import REPORT, report_archive, require_whole
from ccip_batch.run.results import NodeResult
from ccip_batch.workflow.kinds import KINDS

MANIFEST = "pipeline_manifest.xml"
CHECKSUMS = "SHA256SUMS"
(_V_IMAGES,) = KINDS["publish"].reads["export"]

_FOLDER = r"(?<![\w.])/(?:[^\s'\",:]*/)?"
_OF_RUN = re.compile(rf"{_FOLDER}(?=nodes/(?:restore|analyze|publish|(?:image|export)_spw[0-9_]+)/)".encode())


class Published(Model):
    """The files in the products folder."""

    files: list[ProductFile]
    failed: list[str]
    """Planes that are not among them because a node failed."""


def publish_products(
    run: Provenance,
    planes: Mapping[str, tuple[Path, NodeResult]],
    failed: Sequence[str],
    nodes: Path,
    report: Path | None,
    folder: Path,
    *,
    part: bool = False,
) -> Published:
    """Fill the products folder.

    run: what the products were made from. planes: for each spw group the folder of its FITS files and the result of its
    export. failed: groups without products. nodes: the folder of all nodes, for their logs. report: the folder of the
    report, if there is one. folder: the products folder. part: whether of the planes' files only the V images are here;
    all are named with the checksums of their results, and linked into the products folder where they are.
    """
    job = run.job
    files = [file for _, result in planes.values() for file in result.files]
    linked = folder.with_name("cutouts") if part else folder
    linked.mkdir(exist_ok=True)
    for source, result in planes.values():
        for file in result.files:
            if not part or fnmatchcase(file.name, _V_IMAGES):
                require_whole(source / file.name, file)
                link_or_copy(source / file.name, linked / file.name)
    if any(not fits.getheader(path)["VLASSRJ"] for path in linked.glob(_V_IMAGES)):
        trace = cards(job, run.fingerprint, run.results["analyze"].versions)
        files.append(ProductFile.of(mean_v_of(linked, folder, cards=trace)))
    for given in (job.inputs.seip_parameter_list, job.inputs.ccip_parameter_list):
        shutil.copyfile(given, folder / given.name)
        files.append(ProductFile.of(folder / given.name))
    config = f"{job.imagename}.job.yaml"
    (folder / config).write_text(portable_job(job), encoding="utf-8")
    files.append(ProductFile.of(folder / config))
    logs = f"{job.imagename}.logs.tgz"
    pack_logs(job, nodes, folder / logs)
    files.append(ProductFile.of(folder / logs))
    page = report_archive(job.imagename) if report else None
    if report and page:
        with tarfile.open(folder / page, "w:gz", compresslevel=1) as tar:  # its pictures are compressed already
            tar.add(report, arcname=REPORT)
        files.append(ProductFile.of(folder / page))
    _write_manifest(run, files, {"logs": logs, "report": page, "configuration": config}, folder / MANIFEST)
    files.append(ProductFile.of(folder / MANIFEST))
    write_crate(run, files, config, folder)
    files.append(ProductFile.of(folder / CRATE))
    sums = "".join(f"{file.sha256}  {file.name}\n" for file in files)
    (folder / CHECKSUMS).write_text(sums, encoding="utf-8")
    files.append(ProductFile.of(folder / CHECKSUMS))
    return Published(files=files, failed=list(failed))


def pack_logs(job: ResolvedJob, nodes: Path, target: Path) -> None:
    """The logs of all nodes, without the folders of the machines that ran them: `RUN` and `INPUTS` stand for those."""
    inputs = [path for key in type(job.inputs).model_fields if (path := getattr(job.inputs, key)) is not None]
    names = "|".join(re.escape(path.name) for path in inputs)
    known = _written({nodes.parent: "RUN", **{path: f"INPUTS/{path.name}" for path in inputs}})
    of_inputs = re.compile(rf"{_FOLDER}(?=(?:{names})(?:[/'\",\s]|$))".encode())
    with tarfile.open(target, "w:gz") as tar:
        for log in sorted(nodes.glob("*/*")):
            if log.name in ("casa.log", "casa_commands.py", "node.log"):
                text = log.read_bytes()
                for path, word in known:
                    text = text.replace(path, word)
                text = of_inputs.sub(b"INPUTS/", _OF_RUN.sub(b"RUN/", text))
                member = tarfile.TarInfo(str(log.relative_to(nodes)))
                member.size, member.mtime = len(text), int(log.stat().st_mtime)
                tar.addfile(member, io.BytesIO(text))


def _written(words: Mapping[Path, str]) -> list[tuple[bytes, bytes]]:
    """Paths of this machine as logs have them, as they are and as Python writes them, with what stands for them.

    No pattern finds the end of a path with blanks or quotes in it.
    """
    return [
        (text.encode(errors="surrogateescape"), word.encode())
        for path, word in sorted(words.items(), key=lambda item: -len(str(item[0])))
        for text in (str(path), repr(str(path))[1:-1])
    ]


def _write_manifest(
    run: Provenance, files: Sequence[ProductFile], others: Mapping[str, str | None], target: Path
) -> None:
    """The manifest as the archive reads it; `.com.fits` files are not in it."""
    job, versions = run.job, run.results["analyze"].versions
    root = ElementTree.Element("piperesults", name=job.imagename)
    ElementTree.SubElement(root, "procedure", name="ccip_batch", version=versions["ccip_batch"], mode=job.imaging_mode)
    for name, version in versions.items():
        ElementTree.SubElement(root, "software", name=name, version=version)
    if image(job):
        ElementTree.SubElement(root, "container", sha256=image(job))
    for key, path in job.inputs:
        if path is not None:
            ElementTree.SubElement(root, "input", name=path.name, fingerprint=run.inputs.get(key, ""))
    for file in files:
        if file.name.endswith(".fits") and not file.name.endswith(".com.fits"):
            kind = "rms" if ".rms." in file.name else "image"
            ElementTree.SubElement(
                root, "image", imtype=kind, name=file.name, bytes=str(file.bytes), sha256=file.sha256
            )
    for path in (job.inputs.seip_parameter_list, job.inputs.ccip_parameter_list):
        ElementTree.SubElement(root, "parameter_list", name=path.name)
    for kind, other in {**others, "provenance": CRATE}.items():
        if other:
            ElementTree.SubElement(root, kind, name=other)
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(target, encoding="utf-8", xml_declaration=True)
