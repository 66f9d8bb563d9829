"""The header of a GGUF file is read within bounds, whatever the file says."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from osaurus_nb.errors import ModelRejected
from osaurus_nb.local import gguf
from osaurus_nb.testing import tiny_gguf

_WHOLE = tiny_gguf.llama("Q4_1")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return _WHOLE.write(tmp_path / "tiny.gguf")


def patched(file: Path, at: int, data: bytes) -> Path:
    content = bytearray(file.read_bytes())
    content[at : at + len(data)] = data
    file.write_bytes(content)
    return file


def test_header_is_read_whole(file: Path):
    """Metadata of every type and the place, shape and kind of every tensor come back as written."""
    header = gguf.read(file)

    assert header.metadata == {
        key: pytest.approx(value) if isinstance(value, float) else value for key, value in _WHOLE.metadata.items()
    }
    assert [(tensor.name, tensor.kind, tensor.shape) for tensor in header.tensors] == [
        (name, kind, shape) for name, (kind, shape, _) in _WHOLE.tensors.items()
    ]
    assert all(tensor.size_bytes == len(_WHOLE.tensors[tensor.name][2]) for tensor in header.tensors)


def test_another_magic_is_refused(file: Path):
    """A file that does not begin with GGUF is refused, by its name."""
    patched(file, 0, b"PK\x03\x04")

    with pytest.raises(ModelRejected, match=r"tiny\.gguf is not converted: it does not begin with GGUF"):
        gguf.read(file)


def test_another_version_is_refused(file: Path):
    """Versions that we do not know are refused with their number."""
    patched(file, 4, struct.pack("<I", 9))

    with pytest.raises(ModelRejected, match="version is 9"):
        gguf.read(file)


@pytest.mark.parametrize("length", [0, 3, 23, 24, 60, 700, 3000, 8000, 60_000])
def test_cut_file_is_refused(file: Path, length: int):
    """A file that ends too early, anywhere, is refused before a weight is read."""
    content = file.read_bytes()
    assert length < len(content)
    file.write_bytes(content[:length])

    with pytest.raises(ModelRejected, match=r"cut short|bytes long"):
        gguf.read(file)


def test_last_byte_missing_is_noticed(file: Path):
    """Even one missing block is seen from the header."""
    file.write_bytes(file.read_bytes()[:-64])

    with pytest.raises(ModelRejected, match="does not lie inside it"):
        gguf.read(file)


@pytest.mark.parametrize(("at", "what"), [(8, "tensors"), (16, "metadata keys")])
def test_absurd_counts_are_refused_at_once(file: Path, at: int, what: str):
    """A count of billions costs neither time nor memory."""
    patched(file, at, struct.pack("<Q", 1 << 62))

    with pytest.raises(ModelRejected, match=what):
        gguf.read(file)


def test_absurd_array_is_refused_at_once(tmp_path: Path):
    """A list that claims to be longer than the file may hold is not built."""
    file = tmp_path / "list.gguf"
    key = struct.pack("<Q", 1) + b"k"
    file.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + key + struct.pack("<IIQ", 9, 8, 1 << 60))

    with pytest.raises(ModelRejected, match="lists more than"):
        gguf.read(file)


def test_lists_of_lists_are_refused(tmp_path: Path):
    """Nesting, which no model needs, cannot exhaust the stack."""
    file = tmp_path / "nested.gguf"
    key = struct.pack("<Q", 1) + b"k"
    file.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + key + struct.pack("<IIQ", 9, 9, 1) * 50_000)

    with pytest.raises(ModelRejected, match="array of type 9"):
        gguf.read(file)


def test_other_quantization_is_refused_by_name(tmp_path: Path):
    """The refusal names the tensor, what it is, and what would do."""
    made = tiny_gguf.llama("Q4_0")
    made.add("blk.1.ffn_up.weight", "Q5_0", (128, 64), [0.5] * (128 * 64))
    file = made.write(tmp_path / "q5.gguf")

    with pytest.raises(ModelRejected, match=r"'blk\.1\.ffn_up\.weight' is Q5_0; we convert F32, F16, Q4_0, Q4_1, Q8_0"):
        gguf.read(file)


def test_overlapping_tensors_are_refused(tmp_path: Path):
    """A small file cannot pose as a large model by telling the same bytes many times."""
    file = tmp_path / "overlap.gguf"
    names = [f"t{number}".encode() for number in range(100)]
    infos = b"".join(struct.pack("<Q", len(name)) + name + struct.pack("<IQIQ", 1, 1024, 0, 0) for name in names)
    file.write_bytes(b"GGUF" + struct.pack("<IQQ", 3, len(names), 0) + infos + b"\0" * 8192)

    with pytest.raises(ModelRejected, match="overlap"):
        gguf.read(file)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_damaged_header_is_read_or_refused(tmp_path: Path, data: st.DataObject):
    """Whatever byte is damaged, the answer is a header or a plain refusal: no other error."""
    file = tmp_path / "damaged.gguf"
    _WHOLE.write(file)
    at = data.draw(st.integers(0, 9000))
    patched(file, at, data.draw(st.binary(min_size=1, max_size=12)))

    with contextlib.suppress(ModelRejected):
        assert gguf.read(file).tensors
