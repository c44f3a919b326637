"""What happens to files: bits flip, ends are cut off, parts move; JSON values become others."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["mutated"]

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 0.5, -0.1, 10**5, 2**31, 2**63, 10**30, 1e308, -1e308),
    *(
        float("nan"),
        float("inf"),
        "",
        "no",
        "1",
        "../../x",
        "/etc/passwd",
        "{x}",
        "\ud800",
        "é" * 9,
    ),
    *([], [1], [[1]], {}, {"a": 1}, [None], ["a", "b"]),
)


def mutated(content: bytes, name: str, random: Random) -> bytes:
    """Another content for a file, the same for the same state of ``random``."""
    kinds: list[Callable[[bytes, Random], bytes]] = [
        _flipped,
        _overwritten,
        _cut,
        _moved,
        _grown,
        _emptied,
    ]
    if name.endswith(".json") and random.random() < 0.8:
        kinds = [_json_changed, _json_changed, _json_changed, _json_nested, _flipped]
    if name.endswith(".parquet") and random.random() < 0.6:
        kinds = [_table_changed]
    if name.endswith(".safetensors") and random.random() < 0.5:
        kinds = [_header_changed]
    if name.endswith(".pt") and random.random() < 0.5:
        kinds = [_pickle_changed]
    for _ in range(random.choice((1, 1, 1, 2, 4))):
        content = random.choice(kinds)(content, random)
    return content


def _flipped(content: bytes, random: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 2, 8, 64))):
        if changed:
            changed[_place(changed, random)] ^= 1 << random.randrange(8)
    return bytes(changed)


def _overwritten(content: bytes, random: Random) -> bytes:
    changed, length = bytearray(content), random.choice((1, 2, 4, 8, 100))
    start = _place(content, random)
    with_ = random.choice((b"\0", b"\xff", b"\x7f", bytes([random.randrange(256)])))
    changed[start : start + length] = with_ * length
    return bytes(changed)


def _cut(content: bytes, random: Random) -> bytes:
    start = _place(content, random)
    return content[:start] + (
        content[start + random.randrange(1, 999) :] if random.random() < 0.5 else b""
    )


def _moved(content: bytes, random: Random) -> bytes:
    start, end = _place(content, random), _place(content, random)
    length = random.randrange(1, 200)
    return content[:end] + content[start : start + length] + content[end + length :]


def _grown(content: bytes, random: Random) -> bytes:
    start = _place(content, random)
    return content[:start] + random.randbytes(random.randrange(1, 200)) + content[start:]


def _emptied(content: bytes, random: Random) -> bytes:
    return random.choice((b"", content[:1], bytes(len(content))))


def _place(content: bytes | bytearray, random: Random) -> int:
    """Headers and footers are hit as often as all the rest."""
    end = max(len(content), 1)
    near = min(end, 600)
    return random.choice(
        (random.randrange(end), random.randrange(near), end - 1 - random.randrange(near))
    )


def _json_changed(content: bytes, random: Random) -> bytes:
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError):
        return _flipped(content, random)
    places: list[tuple[Any, Any]] = []

    def visit(node: Any) -> None:
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                visit(node[key])

    if isinstance(whole, dict | list):
        visit(whole)
    if not places:
        return json.dumps(random.choice(VALUES)).encode()
    node, key = random.choice(places)
    match random.randrange(6):
        case 0:
            del node[key]
        case 1 if isinstance(node, dict):
            node[str(key) + random.choice("sx_")] = node.pop(key)
        case 2 if isinstance(node[key], int | float) and not isinstance(node[key], bool):
            node[key] = random.choice((node[key] + 1, -node[key], node[key] * 2, float(node[key])))
        case 3:
            node[key] = random.choice(places)[0]
            if node[key] is node or not _is_tree(whole):
                node[key] = None
        case _:
            node[key] = random.choice(VALUES)
    return json.dumps(whole).encode("utf-8", "surrogatepass")


def _is_tree(node: Any) -> bool:
    try:
        json.dumps(node)
    except ValueError:
        return False
    return True


def _json_nested(content: bytes, random: Random) -> bytes:
    depth = random.choice((50, 5000, 200_000))
    opening, closing = random.choice(((b"[", b"]"), (b'{"a":', b"}")))
    nest = opening * depth + b"1" + closing * depth
    return random.choice((nest, content.replace(b": ", b": " + nest + b', "b": ', 1)))


def _header_changed(content: bytes, random: Random) -> bytes:
    """Names, types, shapes and places in a safetensors file."""
    if len(content) < 8 or (length := struct.unpack("<Q", content[:8])[0]) > len(content) - 8:
        return _flipped(content, random)
    header = _json_changed(content[8 : 8 + length], random)
    return struct.pack("<Q", len(header)) + header + content[8 + length :]


def _pickle_changed(content: bytes, random: Random) -> bytes:
    """What is pickled in a ``.pt``, under a checksum that is right again."""
    out = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as before, zipfile.ZipFile(out, "w") as after:
            for info in before.infolist():
                record = before.read(info)
                if info.filename.endswith("data.pkl"):
                    record = random.choice((_flipped, _overwritten, _cut, _moved))(record, random)
                after.writestr(info.filename, record)
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, EOFError):
        return _flipped(content, random)
    return out.getvalue()


def _table_changed(content: bytes, random: Random) -> bytes:
    """A column of a parquet with a value, all values or its type changed, or no such column."""
    try:
        table = pq.read_table(io.BytesIO(content))
        index = random.randrange(table.num_columns)
        name, values = table.column_names[index], table.column(index).to_pylist()
        for row in random.choice(([random.randrange(len(values))], range(len(values)))):
            values[row] = _other(values[row], random)
        match random.randrange(8):
            case 0:
                table = table.drop_columns([name])
            case 1:
                table = table.append_column(name, table.column(index))
            case 2:
                table = table.slice(random.randrange(len(values)))
            case 3:
                table = table.take(random.sample(range(len(values)), len(values)))
            case _:
                table = table.set_column(index, name, pa.array(values))
        out = io.BytesIO()
        pq.write_table(table, out)
    except (pa.ArrowException, ValueError, OverflowError, TypeError, IndexError, OSError):
        return _flipped(content, random)  # no table, or none of that kind
    return out.getvalue()


def _other(value: Any, random: Random) -> Any:
    if isinstance(value, list) and value and random.random() < 0.7:
        changed = list(value)
        match random.randrange(4):
            case 0:
                return changed[:-1]
            case 1:
                return [*changed, changed[0]]
            case _:
                place = random.randrange(len(changed))
                changed[place] = _other(changed[place], random)
                return changed
    if isinstance(value, int | float) and random.random() < 0.8:
        near = (value + 1, value - 1, value + 0.05, -value, float(value), value * 10**6)
        return random.choice((*near, [value], str(value), float("nan"), float("inf"), None))
    return random.choice(VALUES)
