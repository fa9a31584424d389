"""What a CASA session records and refuses, what images and a measurement set say, and code overwritten in memory.

python tests/casa/session_cases.py RUN: in an empty folder; RUN is a finished run of the simulation `small`. It prints
JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ccip_batch.casa import machine_code
from ccip_batch.casa.flag_statistics import count_flags
from ccip_batch.casa.images import box_text, image_shape, read_plane, restoring_beam
from ccip_batch.casa.measurement_set import ROWS_AT_ONCE, row_chunks, summarize
from ccip_batch.casa.measures import reach
from ccip_batch.casa.session import Casa, copy_table, data_folder

RUN = Path(sys.argv[1])
NODE = RUN / "nodes" / "image_spw17"
START = Path.cwd()
Path("work").mkdir()
os.chdir("work")
casa = Casa(START / "casa.log", START / "casa_commands.py", title="the test")


def error(function: Callable[..., Any], *arguments: Any, **more: Any) -> list[str]:
    """Class and text of the error that a call raises."""
    try:
        function(*arguments, **more)
    except Exception as raised:
        return [type(raised).__name__, str(raised)]
    return []


def open_table(path: str) -> None:
    with casa.table(path) as table:
        table.nrows()


def session_case() -> dict[str, Any]:
    source = next(NODE.glob("work/*.iter3.psf.tt0"))
    copy_table(source, Path("given.image"))
    for file in Path("given.image").rglob("*"):
        file.chmod(0o555 if file.is_dir() else 0o444)
    Path("given.image").chmod(0o555)
    casa.copy("given.image", "made.image")
    writable = all(path.stat().st_mode & 0o200 for path in Path("made.image").rglob("*"))
    casa.task("imsubimage", imagename="made.image", outfile="part.image", box="10,20,89,109")
    casa.move("part.image", "moved.image")
    with casa.recorded_image("moved.image") as tool:
        tool.convolve2d(
            outfile="smooth.image", axes=[0, 1], type="gauss", major="30arcsec", minor="30arcsec", pa="0deg"
        )
    before = casa.script_bytes()
    failed = error(casa.task, "imsubimage", imagename="nothing.image", outfile="x.image")
    kept = casa.script_bytes() > before
    casa.cut_script(before)
    casa.remove("smooth.image")
    with casa.image("moved.image") as tool:
        casa.regrid_from(
            "moved.image", "again.image", tool.coordsys().referencevalue(type="direction")["numeric"].tolist()
        )
    (same, _), (again, _) = read_plane(casa, "moved.image"), read_plane(casa, "again.image")
    return {
        "script": (START / "casa_commands.py").read_text(),
        "failed": failed,
        "failed is recorded": kept,
        "no table": error(open_table, "nothing.ms"),
        "writable": writable,
        "there": sorted(path.name for path in Path().iterdir()),
        "shape": image_shape(casa, "moved.image"),
        "calls": casa.calls,
        "regridded": float(np.abs(same - again).max()),
        "data": str(data_folder()),
    }


def images_case() -> dict[str, Any]:
    name = str(NODE / "out" / "image.pbcor.subim")
    whole, valid = read_plane(casa, name, 1)
    box = ((40, 60), (79, 149))
    part, part_valid = read_plane(casa, name, 1, box)
    some, _ = read_plane(casa, name, 1, step=16)
    psf = str(next(NODE.glob("work/*.iter3.psf.tt0")))
    shutil.copytree(psf, "bare.psf")
    with casa.image("bare.psf") as tool:
        tool.setrestoringbeam(remove=True)
    return {
        "shape": image_shape(casa, name),
        "whole": [list(whole.shape), int(valid.sum())],
        "box": bool(
            np.array_equal(part, whole[60:150, 40:80], equal_nan=True)
            and np.array_equal(part_valid, valid[60:150, 40:80])
        ),
        "step": bool(np.array_equal(some, whole[::16, ::16], equal_nan=True)),
        "text": box_text(box),
        "beam": restoring_beam(casa, psf).model_dump(),
        "no beam": error(restoring_beam, casa, "bare.psf"),
    }


def measurement_set_case() -> dict[str, Any]:
    vis = RUN / "nodes" / "restore" / "out" / "spw12_13.ms"
    counts = count_flags(casa, vis)
    with casa.table(str(vis)) as table:
        flags, fields, spws = table.getcol("FLAG"), table.getcol("FIELD_ID"), table.getcol("DATA_DESC_ID")
        times, half = table.getcol("TIME"), table.getcol("INTERVAL") / 2
    with casa.table(str(vis / "DATA_DESCRIPTION")) as table:
        spws = np.asarray(table.getcol("SPECTRAL_WINDOW_ID"))[spws]
    shutil.copytree(vis, "odd.ms")
    with casa.table("odd.ms", write=True) as table:
        table.putcell("FIELD_ID", 0, 99)
    with casa.table(str(vis)) as table:
        table.query("FIELD_ID < 0").copy("empty.ms", deep=True).close()
    direct = {}
    for field in np.unique(fields):
        for spw in np.unique(spws):
            chosen = flags[:, :, (fields == field) & (spws == spw)]
            direct[f"{field} {spw}"] = [int(chosen.sum()), int(chosen.size)]
    return {
        "counts": counts.model_dump(mode="json"),
        "direct": direct,
        "used": {str(spw): int((~flags[:, :, spws == spw]).any(axis=(0, 2)).sum()) for spw in np.unique(spws)},
        "summary": summarize(casa, vis).model_dump(mode="json"),
        "span": [float((times - half).min() / 86400), float((times + half).max() / 86400)],
        "rows of field 99": error(summarize, casa, Path("odd.ms")),
        "no rows": error(summarize, casa, Path("empty.ms")),
        "chunks": [list(row_chunks(rows)) for rows in (0, 5, ROWS_AT_ONCE, ROWS_AT_ONCE + 1)],
        "chunks of the survey": list(row_chunks(316_000, 4 * 64)),
    }  # fmt: skip


def code_case() -> dict[str, Any]:
    """A function of the C library is overwritten by one that returns at once, and put back."""
    library = ctypes.CDLL("libc.so.6")
    library.atoi.argtypes = [ctypes.c_char_p]
    (function,) = machine_code.exported([library], "atoi")
    original = machine_code.original(function, "atoi")
    seven = bytes.fromhex("b807000000c3")  # mov eax, 7; ret
    place = machine_code.place(function, "atoi", original, seven)
    said = [library.atoi(b"41")]
    machine_code.overwrite([place])
    said.append(library.atoi(b"41"))
    again = machine_code.place(function, "atoi", original, seven)
    changed = error(machine_code.place, function, "atoi", original, bytes(6))
    machine_code.overwrite([place._replace(code=original[: len(seven)])])
    said.append(library.atoi(b"41"))
    return {
        "said": said,
        "done": [place.done, again.done],
        "changed by something else": changed,
        "too short": error(machine_code.place, function, "atoi", original, bytes(function.size + 1)),
        "unknown": [one.size for one in machine_code.exported([library], "no_such_function")],
        "libraries": len(machine_code.casa_libraries()),
    }


found = {
    "session": session_case(),
    "images": images_case(),
    "measurement set": measurement_set_case(),
    "measures": reach(casa).model_dump(mode="json"),
    "machine code": code_case(),
}
print(json.dumps(found))
