"""Turns a GGUF file into a folder that mlx-lm loads: `python -m osaurus_nb.local.convert FILE FOLDER`.

Only ever run in a process of its own, because importing mlx changes the process it is in. It tells its progress,
and at last its failure, as JSON lines: `{"done": 3, "total": 272}`, `{"error": "ModelRejected", "message": "..."}`.
"""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from osaurus_nb.errors import ModelRejected
from osaurus_nb.local import gguf, tokenizer
from osaurus_nb.local.recipe import GROUP, PACKED, Part, Recipe, recipe

if TYPE_CHECKING:
    import mlx.core as mx

Report = Callable[[int, int], None]


def convert(file: Path, folder: Path, report: Report) -> None:
    """Write the model of `file` into `folder`. Raises ModelRejected before anything heavy is done."""
    header = gguf.read(file)
    chosen = recipe(header)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    tokenizer.write(chosen.vocabulary, folder, context_length=chosen.config["max_position_embeddings"])
    (folder / "config.json").write_text(json.dumps(chosen.config, indent=1), "utf-8")
    _write_weights(file, header, chosen, folder / "model.safetensors", report)


def main(arguments: list[str]) -> int:
    """Convert and report; 0 when the folder is whole."""
    file, folder = map(Path, arguments)
    try:
        convert(file, folder, lambda done, total: _tell({"done": done, "total": total}))
    except ModelRejected as refused:
        _tell({"error": "ModelRejected", "message": refused.message})
    except OSError as fault:
        _tell({"error": "OSError", "errno": fault.errno, "message": os.strerror(fault.errno or 0)})
    else:
        return 0
    return 1


def _write_weights(file: Path, header: gguf.Header, chosen: Recipe, target: Path, report: Report) -> None:
    import mlx.core as mx  # noqa: PLC0415 - the heavy door

    mx.set_default_device(mx.cpu)
    loaded: dict[str, mx.array] = mx.load(str(file), format="gguf")  # type: ignore[assignment]  # a mapping, for this format
    kinds = {tensor.name: tensor.kind for tensor in header.tensors}
    total = len(chosen.parts)
    arrays: dict[str, mx.array] = {}
    for done, (name, part) in enumerate(chosen.parts.items()):
        report(done, total)
        arrays.update(_arrays(loaded, name, part, bits=PACKED.get(kinds[name])))
    try:
        mx.save_safetensors(str(target), arrays, metadata={"format": "mlx"})
    except RuntimeError as fault:  # how mlx tells of a write that failed
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from fault
    report(total, total)


def _arrays(loaded: dict[str, mx.array], name: str, part: Part, *, bits: int | None) -> Iterator[tuple[str, mx.array]]:
    import mlx.core as mx  # noqa: PLC0415

    stem = name.removesuffix(f".{part.field}")
    for field in ("weight", "scales", "biases") if bits else (part.field,):
        array = loaded.pop(f"{stem}.{field}")
        if array.shape != _stored_shape(part, field, bits):
            raise ModelRejected(f"The tensor {name!r} was not read in the shape that the header gives.")
        if field != "weight" or not bits:
            array = array.astype(mx.float16)
        array = _untwist(array, part.twisted) if part.twisted else array
        mx.eval(array)
        yield f"{part.module}.{field}", array


def _stored_shape(part: Part, field: str, bits: int | None) -> tuple[int, ...]:
    if bits is None:
        return part.shape
    *rows, columns = part.shape
    return (*rows, columns * bits // 32 if field == "weight" else columns // GROUP)


def _untwist(array: mx.array, heads: int) -> mx.array:
    """Put the rows of each head back in order: halves, not pairs. Only rows move, so packed ones may too."""
    import mlx.core as mx  # noqa: PLC0415

    rows = array.shape[0]
    return mx.contiguous(array.reshape(heads, rows // heads // 2, 2, -1).swapaxes(1, 2).reshape(rows, -1))


def _tell(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
