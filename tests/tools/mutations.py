"""Spoils files at random: what broken disks, cut downloads, other tools and bad intentions leave of them.

Everything takes a `random.Random` and nothing else by chance, so that a seed repeats it.
"""

import gzip
import io
import json
import re
import zlib
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

import numpy as np
import torch
import yaml
from scipy.io import loadmat, savemat

DEEP = "@deep@"  # stands for a tower of lists until it is text: no writer of JSON or YAML gets that far
TOWER = 100_000
MOST = 1_000_000  # bytes: doubled often, a file would grow beyond any use
NUMBERS = ["NaN", "Infinity", "-Infinity", "1e999", "-1", "0", "-0.0", "1e-400", "256", "65536", "2147483648"]
NUMBERS += ["-9223372036854775809", "18446744073709551616", "9" * 5000, "1_000", "0x10", "1e", "٣", ".5", "1e5", "3.7"]
WORDS = ["null", "true", "[]", "{}", '""', "None", "..", "../../x", "/", "/etc/hostname", "x" * 300, "x" * 70_000, "é"]
WORDS += [
    "\0",
    "\ufeff",
    "\u2028",
    "\x1b[2J",
    '"',
    "'",
    ",",
    ":",
    "\\",
    "&a [*a]",
    "*a",
    "!!python/name:os.system",
    "<<",
]
WORDS += ["\\ud800", "\\u0000", "a\nb", "\t", "#", "- ", "? ", "|", "2001-01-01", "==", "~", "1,2,3", ";", "=1+1"]
LEAVES = [
    None,
    True,
    False,
    0,
    -1,
    1,
    3.7,
    2**63,
    -(10**400),
    float("nan"),
    float("inf"),
    -1e308,
    1e308,
    "",
    "a",
    "..",
    "é",
]
LEAVES += [
    "../../x",
    "/etc/hostname",
    "\ud800",
    "a\0b",
    "a\nb",
    "\u2028",
    "x" * 300,
    "x" * 70_000,
    [],
    {},
    [[]],
    [None],
]
LEAVES += [{"": 0}, {"a": {"a": 1}}, [1, [2]], "1e-3", "NaN", 10**6, 10**9, DEEP]
CHUNKS = [
    b"\xff" * 4,
    b"\xff" * 64,
    b"\0" * 4,
    b"\0" * 64,
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"\xff\xff\xff\x7f",
    b"\x80",
]
CHUNKS += [
    b"PK\x03\x04",
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"IEND",
    b"mdat",
    b"moov",
    b"\x1f\x8b\x08",
    b"../",
    b"\n",
]


def spoiled(rng: Random, content: bytes, other: bytes, ending: str) -> bytes:
    """Another content for a file with this ending, out of its own and another file's."""
    ways: list[Callable[[], bytes]] = [lambda: spoiled_bytes(rng, content, other)]
    if ending in (".txt", ".csv", ".json", ".yaml"):
        ways += [lambda: spoiled_text(rng, content)] * 2
    if ending in STRUCTURED:
        load, dump = STRUCTURED[ending]
        ways += [lambda: dump(spoiled_value(rng, load(content)), rng)] * 3
    if ending in SEALED:
        unsealed, seal = SEALED[ending]
        ways += [lambda: seal(spoiled_bytes(rng, unsealed(content), other))] * 2
    try:
        return rng.choice(ways)()
    except Exception:  # what no writer of the format can write, whatever it raises then
        return spoiled_bytes(rng, content, other)


def spoiled_bytes(rng: Random, content: bytes, other: bytes) -> bytes:
    """Flipped, overwritten, cut, doubled, inserted and deleted bytes; or the beginning of one file and the end of the other."""
    content = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        start = _place(rng, len(content))
        stop = min(len(content), start + rng.choice([1, 2, 4, 8, 100, len(content)]))
        way = rng.randrange(9)
        if way < 3 and content:
            content[start] ^= 1 << rng.randrange(8)
        elif way == 3:
            chunk = rng.choice([*CHUNKS, rng.randbytes(4)])
            content[start : start + len(chunk)] = chunk
        elif way == 4:
            del content[start:]
        elif way == 5:
            del content[start:stop]
        elif way == 6:
            content[start:start] = bytes(content[start:stop]) * rng.choice([1, 1, 3])
        elif way == 7:
            content[start:start] = rng.choice([*CHUNKS, rng.randbytes(rng.randrange(40)), b"\xff" * 5000])
        else:
            content[start:] = other[_place(rng, len(other)) :]
        del content[MOST:]
    return bytes(content)


def spoiled_text(rng: Random, content: bytes) -> bytes:
    """Other numbers, words and lines, towers of brackets, another encoding."""
    text = content.decode("utf-8")
    for _ in range(rng.choice([1, 1, 2, 5])):
        parts = re.findall(r"[+-]?\d[\d.eE]*|\w+|\s+|.", text) or [""]
        numbers = [i for i, part in enumerate(parts) if part[:1].isdigit()] or [0]
        place, way = rng.randrange(len(parts)), rng.randrange(10)
        lines = text.splitlines(keepends=True)
        if way < 3:
            parts[rng.choice(numbers)] = rng.choice(NUMBERS)
        elif way < 5:
            parts[place] = rng.choice(WORDS)
        elif way == 5:
            parts[place] += rng.choice(WORDS)
        elif way == 6:
            del parts[place : place + rng.choice([1, 1, 3])]
        elif way == 7:
            parts = rng.sample(lines, len(lines)) if rng.random() < 0.5 else lines + lines[:1] * rng.choice([1, 2000])
        elif way == 8:
            parts = [line for i, line in enumerate(lines) if i != place % (len(lines) or 1)]
        else:
            opened, closed = rng.choice([("[", "]"), ("{", "}"), ('{"a":', "}"), ("- ", ""), ("(", ")")])
            parts[place] = opened * TOWER + closed * rng.choice([0, TOWER])
        text = "".join(parts)[:MOST]
    encoding = rng.choice(["utf-8"] * 9 + ["utf-8-sig", "utf-16", "latin-1"])
    return text.replace("\n", rng.choice(["\n"] * 9 + ["\r\n", "\r"])).encode(encoding, "replace")


def spoiled_value(rng: Random, value: Any) -> Any:
    """Nested dicts and lists with an item removed, doubled, exchanged, of another type, or hung elsewhere."""
    value = deepcopy(value)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        holders = [value, *_holders(value)] if isinstance(value, dict | list) else []
        holder = rng.choice(holders) if holders else None
        if not holder or rng.random() < 0.02:
            value = _leaf(rng, value)
            continue
        key = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
        way = rng.randrange(8)
        if way == 0:
            del holder[key]
        elif way == 1:
            where = rng.choice(holders)
            _put(rng, where, deepcopy(holder[key]))
        elif way == 2:
            holder[key] = rng.choice([[holder[key]], {"a": holder[key]}, [holder[key]] * 2, str(holder[key])])
        elif way == 3:
            _put(rng, holder, rng.choice(LEAVES))
        else:
            holder[key] = _leaf(rng, holder[key])
    return value


def _place(rng: Random, length: int) -> int:
    """Anywhere, but more often near the beginning or the end, where sizes and tables stand."""
    if not length:
        return 0
    near = rng.randrange(min(length, 64))
    return rng.choice([rng.randrange(length), near, length - 1 - near])


def _holders(value: Any) -> list:
    inner = [v for v in (value.values() if isinstance(value, dict) else value) if isinstance(v, dict | list) and v]
    return inner + [deeper for holder in inner for deeper in _holders(holder)]


def _put(rng: Random, holder: dict | list, value: Any) -> None:
    if isinstance(holder, dict):
        holder[rng.choice([*list(holder), "a", "", "../x", "x" * 300, 7])] = value
    else:
        holder.insert(rng.randrange(len(holder) + 1), value)


def _leaf(rng: Random, value: Any) -> Any:
    """Something else in the place of a value, often of its kind."""
    if isinstance(value, torch.Tensor) and rng.random() < 0.8:
        return rng.choice(TENSORS)(value)
    if isinstance(value, np.ndarray) and rng.random() < 0.9:
        return rng.choice(ARRAYS)(value)
    if isinstance(value, str) and rng.random() < 0.5:
        return value[: rng.randrange(len(value) + 1)] + rng.choice(["", "x", "/", "\n", "\ud800", ".", "\0"])
    return rng.choice(LEAVES)


TENSORS: list[Callable[[torch.Tensor], Any]] = [
    lambda x: x[..., :0],
    lambda x: x[None],
    lambda x: x.flatten(),
    lambda x: x.to(torch.int8),
    lambda x: x.to(torch.complex64),
    lambda x: x.to(torch.bfloat16),
    lambda x: x.double() * 1e300,
    lambda x: torch.full_like(x, torch.nan) if x.is_floating_point() else x - 1,
    lambda x: -x,
    lambda x: x > 0,
    lambda x: x.to_sparse() if x.ndim else x,
    lambda x: x.to("meta"),
    lambda x: x.new_zeros(()).expand(10**9, 64, 7, 7),
    lambda x: x.new_zeros(1).expand(x.shape),
    lambda x: torch.nn.Parameter(x) if x.is_floating_point() else x,
    lambda x: torch.quantize_per_tensor(x.float(), 0.1, 0, torch.qint8),
    lambda x: torch.float32,
    lambda x: x.shape,
]
ARRAYS: list[Callable[[np.ndarray], Any]] = [
    lambda x: x[..., :0],
    lambda x: x[..., :1],
    lambda x: x.T,
    lambda x: x.astype(np.int8),
    lambda x: x.astype(complex),
    lambda x: x.astype(str),
    lambda x: x.astype(object),
    lambda x: x > 1,
    lambda x: x * np.nan,
    lambda x: x * 1e300,
    lambda x: -x,
    lambda x: {"a": x},
    lambda x: np.zeros((2, 15, 3), [("x", "f8")]),
]


def _dump_json(value: Any, rng: Random) -> bytes:
    return json.dumps(value).replace(f'"{DEEP}"', "[" * TOWER + "]" * TOWER).encode()


def _dump_yaml(value: Any, rng: Random) -> bytes:
    return yaml.safe_dump(value).replace(DEEP, "[" * TOWER + "]" * TOWER).encode("utf-8", "surrogatepass")


def _load_torch(content: bytes) -> Any:
    return torch.load(io.BytesIO(content), weights_only=True)


def _dump_torch(value: Any, rng: Random) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream, _use_new_zipfile_serialization=rng.random() < 0.9)  # else as before 2020
    return stream.getvalue()


def _load_mat(content: bytes) -> Any:
    return {name: value for name, value in loadmat(io.BytesIO(content)).items() if name[:2] != "__"}


def _dump_mat(value: Any, rng: Random) -> bytes:
    stream = io.BytesIO()
    savemat(stream, value, do_compression=rng.random() < 0.5)
    return stream.getvalue()


def _load_safetensors(content: bytes) -> list:
    """The table of names, and the numbers of all tensors."""
    length = int.from_bytes(content[:8], "little")
    return [json.loads(content[8 : 8 + length]), content[8 + length :]]


def _dump_safetensors(value: list, rng: Random) -> bytes:
    header = _dump_json(value[0], rng)
    return len(header).to_bytes(8, "little") + header + value[1]


def sealed_png(content: bytes) -> bytes:
    """With the checksums of all its chunks made right, so that a decoder looks at what they hold."""
    content, at = bytearray(content), 8
    while at + 12 <= len(content):
        end = at + 8 + int.from_bytes(content[at : at + 4])
        content[end : end + 4] = zlib.crc32(content[at + 4 : end]).to_bytes(4)
        at = end + 4
    return bytes(content)


def sealed_tar(content: bytes) -> bytes:
    """With the checksums of all its headers made right."""
    content, at = bytearray(content), 0
    while at + 512 <= len(content):
        header = content[at : at + 512]
        if header[257:262] == b"ustar":
            header[148:156] = b" " * 8
            content[at + 148 : at + 156] = b"%06o\0 " % sum(header)
        at += 512
    return bytes(content)


STRUCTURED: dict[str, tuple[Callable[[bytes], Any], Callable[[Any, Random], bytes]]] = {
    ".json": (json.loads, _dump_json),
    ".yaml": (yaml.safe_load, _dump_yaml),
    ".pth": (_load_torch, _dump_torch),
    ".pt": (_load_torch, _dump_torch),
    ".mat": (_load_mat, _dump_mat),
    ".safetensors": (_load_safetensors, _dump_safetensors),
}
SEALED: dict[str, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]] = {
    ".png": (bytes, sealed_png),
    ".tar": (bytes, sealed_tar),
    ".gz": (gzip.decompress, lambda content: gzip.compress(sealed_tar(content), 1, mtime=0)),
}
