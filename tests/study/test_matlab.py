"""Arrays out of .mat files, beside SciPy's reader; and files that end the process there."""

import contextlib
import io

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from stt_study.benchmarks.matlab import read_array

KINDS = ["f8", "f4", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?"]


def written(**variables: object) -> bytes:
    compressed = variables.pop("compressed", False)
    stream = io.BytesIO()
    savemat(stream, variables, do_compression=compressed)
    return stream.getvalue()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("shape", [(2, 15, 4), (2, 15, 1), (1, 1), (3, 0, 2)])
def test_as_scipy_reads_it(kind: str, compressed: bool, shape: tuple) -> None:
    values = np.random.default_rng(0).uniform(0, 100, shape).astype(kind)
    content = written(viewpoint="left", pos_img=values, scale=np.ones(3), compressed=compressed)
    expected, found = loadmat(io.BytesIO(content))["pos_img"], read_array(content, "pos_img")
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


def test_whole_numbers_are_stored_in_fewer_bytes() -> None:
    """So MATLAB does, by itself; the array has doubles nevertheless. Its order of bytes may be the other one, too."""
    for order, mark in (("<", b"IM"), (">", b"MI")):

        def element(kind: int, data: bytes, order: str = order) -> bytes:
            return np.array([kind, len(data)], order + "u4").tobytes() + data + bytes(-len(data) % 8)

        parts = [(6, np.array([6, 0], order + "u4").tobytes()), (5, np.array([2, 3], order + "i4").tobytes())]
        parts += [(1, b"pos_img"), (2, bytes(range(6)))]
        matrix = element(14, b"".join(element(*part) for part in parts))
        content = b"MATLAB 5.0".ljust(124) + np.array(0x0100, order + "u2").tobytes() + mark + matrix
        expected = loadmat(io.BytesIO(content))["pos_img"]
        np.testing.assert_array_equal(read_array(content, "pos_img"), expected)
        np.testing.assert_array_equal(expected, [[0, 2, 4], [1, 3, 5]])
        assert read_array(content, "pos_img").dtype == float


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a .mat file"),
        (b"no mat file" * 40, "not a .mat file"),
        (b"MATLAB 7.3".ljust(124) + b"\0\2IM", "not a .mat file"),  # HDF5
        (written(pos_world=np.ones((2, 15, 3))), "there is no pos_img"),
        (written(pos_img="text"), "real numbers"),
        (written(pos_img=np.array([1, "a"], object)), "real numbers"),
        (written(pos_img={"a": 1}), "real numbers"),
        (written(pos_img=np.ones((2, 15, 3)) * 1j), "real numbers"),
    ],
)
def test_what_is_no_array(content: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_array(content, "pos_img")


@pytest.mark.parametrize("compressed", [False, True])
def test_cut_off_or_damaged_anywhere(compressed: bool) -> None:
    """Some array or a ValueError, whatever byte is changed; never one of a file that ends within the array."""
    content = written(pos_img=np.arange(90.0).reshape(2, 15, 3), compressed=compressed)
    for length in range(len(content) - 4):
        with pytest.raises(ValueError, match=r"."):
            read_array(content[:length], "pos_img")
    for place in range(len(content)):
        for value in (0, 1, 127, 255):
            with contextlib.suppress(ValueError):
                read_array(content[:place] + bytes([value]) + content[place + 1 :], "pos_img")
