"""What nodes leave for each other is known to the last bit."""

from __future__ import annotations

from pathlib import Path

from ccip_batch.run.checksums import Output


def make_table(folder: Path) -> Output:
    table = folder / "image"
    (table / "logtable").mkdir(parents=True)
    (table / "table.dat").write_bytes(b"header")
    (table / "table.f0").write_bytes(bytes(5000))
    (table / "logtable" / "table.dat").write_bytes(b"history")
    (table / "table.lock").write_bytes(b"")
    return Output.of(table)


def test_a_table_that_was_only_read_is_whole(tmp_path: Path) -> None:
    output = make_table(tmp_path)
    (tmp_path / "image" / "table.lock").write_bytes(b"read by a process")
    assert output.is_whole_in(tmp_path)


def test_a_bit_is_noticed(tmp_path: Path) -> None:
    output = make_table(tmp_path)
    content = bytearray((tmp_path / "image" / "table.f0").read_bytes())
    content[4321] ^= 1
    (tmp_path / "image" / "table.f0").write_bytes(content)
    assert output.has_size_in(tmp_path) and not output.is_whole_in(tmp_path)


def test_a_file_that_is_short_or_gone_is_noticed_without_reading(tmp_path: Path) -> None:
    output = make_table(tmp_path)
    (tmp_path / "image" / "table.f0").write_bytes(bytes(4999))
    assert not output.has_size_in(tmp_path)
    (tmp_path / "image" / "table.f0").unlink()
    assert not output.has_size_in(tmp_path)
    assert not output.has_size_in(tmp_path / "nowhere")


def test_a_name_that_was_exchanged_is_noticed(tmp_path: Path) -> None:
    output = make_table(tmp_path)
    (tmp_path / "image" / "table.f0").rename(tmp_path / "image" / "table.f1")
    assert output.has_size_in(tmp_path) and not output.is_whole_in(tmp_path)


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "samples.npz"
    path.write_bytes(b"1234")
    output = Output.of(path)
    assert (output.files, output.bytes) == (1, 4) and output.is_whole_in(tmp_path)
    path.write_bytes(b"1235")
    assert not output.is_whole_in(tmp_path)
