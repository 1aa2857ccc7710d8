"""One array of numbers out of a .mat file of MATLAB 5 to 7.

SciPy's reader ends the whole process on some broken files: where one byte makes a number's kind an unknown one, or an array
sparse or complex. To look before whether it would takes as many lines as to read.
"""

import math
import struct
import zlib
from collections.abc import Iterator

import numpy as np

HEADER = 128  # bytes
# How numbers lie in the file; and as what MATLAB had them, which need not be the same.
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8"}
MATRIX, COMPRESSED = 14, 15
LARGEST = 256 * 1024**2  # bytes that a compressed variable may be


def read_array(content: bytes, name: str) -> np.ndarray:
    """The variable `name` out of a file's content, in its own shape and kind of numbers.

    Raises:
        ValueError: there is none, it isn't an array of real numbers, or the file is broken or of another format.
    """
    order = {b"IM": "<", b"MI": ">"}.get(content[HEADER - 2 : HEADER])
    if order is None or struct.unpack(order + "H", content[HEADER - 4 : HEADER - 2])[0] >> 8 != 1:
        raise ValueError("not a .mat file of MATLAB 5 to 7")
    for kind, data in _elements(content[HEADER:], order):
        if kind == COMPRESSED:
            kind, data = _next(_elements(_inflated(data), order))
        if kind == MATRIX:
            parts = _elements(data, order)
            (_, flags), (_, shape), (_, title) = _next(parts), _next(parts), _next(parts)
            if title == name.encode():
                return _numbers(parts, flags, shape, order)
    raise ValueError(f"there is no {name} in it")


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """(Kind, content) of one element after the other; ValueError where one is cut off."""
    at = 0
    while at < len(data):
        if len(data) < at + 8:
            raise ValueError("cut off")
        kind, size = struct.unpack_from(order + "II", data, at)
        if kind >> 16:  # a small one: its content, of at most 4 bytes, stands in the place of its size
            yield kind & 0xFFFF, data[at + 4 : at + 4 + min(kind >> 16, 4)]
            at += 8
        elif len(data) < at + 8 + size:
            raise ValueError("cut off")
        else:
            yield kind, data[at + 8 : at + 8 + size]
            at += 8 + size + (-size % 8 if kind != COMPRESSED else 0)


def _next(elements: Iterator[tuple[int, bytes]]) -> tuple[int, bytes]:
    element = next(elements, None)
    if element is None:
        raise ValueError("cut off")
    return element


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, LARGEST)
    except zlib.error as error:
        raise ValueError(str(error)) from None


def _numbers(parts: Iterator[tuple[int, bytes]], flags: bytes, shape: bytes, order: str) -> np.ndarray:
    if len(flags) != 8 or len(shape) % 4:
        raise ValueError("broken")
    word = struct.unpack_from(order + "I", flags)[0]
    sizes = struct.unpack(f"{order}{len(shape) // 4}i", shape)
    if word & 0xFF not in CLASSES or word & 0x800:
        raise ValueError("it doesn't hold real numbers")
    kind, data = _next(parts)
    if kind not in STORED:
        raise ValueError("broken")
    stored = np.dtype(order + STORED[kind])
    if min(sizes) < 0 or math.prod(sizes) * stored.itemsize != len(data):
        raise ValueError("broken")
    return np.frombuffer(data, stored).astype(CLASSES[word & 0xFF]).reshape(sizes, order="F")
