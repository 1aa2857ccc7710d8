import os
from pathlib import Path

import pytest

from stt_core.files import InputError
from stt_core.fingerprint import code_fingerprint, folder_fingerprint, hash_of


def test_code_fingerprint_sees_code_alone(tmp_path):
    def fingerprint(text):
        (tmp_path / "module.py").write_text(text)
        return code_fingerprint(["module"], tmp_path)

    plain = fingerprint("def f(x):\n    return x + 1\n")
    assert (
        fingerprint('"""What it is."""\n# Why.\ndef f(x):\n    """Doc."""\n    return (x +\n        1)  # one\n')
        == plain
    )
    assert fingerprint("def f(x):\n    return x + 2\n") != plain
    assert fingerprint("def f(x):\n    'a'\n    y = 'b'\n") == fingerprint("def f(x):\n    y = 'b'\n")
    assert fingerprint("def f(x):\n    y = 'c'\n") != fingerprint("def f(x):\n    y = 'b'\n")
    with pytest.raises(InputError, match=r"other\.py is missing"):
        code_fingerprint(["other"], tmp_path)


def test_folder_fingerprint(tmp_path):
    def copy(name, small=b"one", large=b"x" * 70_000):
        folder = tmp_path / name
        (folder / "a").mkdir(parents=True)
        (folder / "a" / "small").write_bytes(small)
        (folder / "large").write_bytes(large)
        os.utime(folder / "large", (1, 1))
        return folder

    plain = folder_fingerprint(copy("1"))
    assert folder_fingerprint(copy("2")) == plain
    assert folder_fingerprint(copy("3", small=b"two")) != plain
    assert folder_fingerprint(copy("4", large=b"x" * 70_001)) != plain
    (tmp_path / "1" / ".lock").touch()
    assert folder_fingerprint(tmp_path / "1") == plain
    (tmp_path / "1" / "a" / "small").rename(tmp_path / "1" / "small")
    assert folder_fingerprint(tmp_path / "1") != plain
    os.utime(tmp_path / "2" / "large", (2, 2))
    assert folder_fingerprint(tmp_path / "2") != plain
    assert folder_fingerprint(tmp_path / "nowhere") == folder_fingerprint(tmp_path / "neither")


def test_hash_of():
    assert hash_of({"a": 1, "b": (1, 2)}) == hash_of({"b": [1, 2], "a": 1})
    assert hash_of({"a": 1}) != hash_of({"a": 1.5})
    assert hash_of(Path("x")) == hash_of("x")
    with pytest.raises(TypeError):
        hash_of({"a": object()})


def test_links_in_a_circle_and_to_nothing(tmp_path):
    """Followed where they lead somewhere else; a folder isn't walked again from within."""
    folder = tmp_path / "data"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "file").write_bytes(b"one")
    plain = folder_fingerprint(folder)
    (folder / "a" / "up").symlink_to("..")
    (folder / "a" / "here").symlink_to(folder / "a")
    assert folder_fingerprint(folder) == plain
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "back").symlink_to(folder)
    (tmp_path / "b" / "more").write_bytes(b"two")
    (folder / "b").symlink_to(tmp_path / "b")
    followed = folder_fingerprint(folder)
    assert followed != plain
    (tmp_path / "b" / "more").write_bytes(b"owt")
    assert folder_fingerprint(folder) != followed
    (folder / "b").unlink()
    found = {plain}
    for name, target in (("nothing", "nowhere"), ("itself", "itself"), ("other", "nowhere")):
        (folder / name).symlink_to(target)
        found.add(folder_fingerprint(folder))
    assert len(found) == 4  # by name


def test_what_is_no_file_counts_by_name(tmp_path):
    """A pipe, which nobody writes to, would be read for ever; names may be of any bytes."""
    plain = folder_fingerprint(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with_pipe = folder_fingerprint(tmp_path)
    (tmp_path / os.fsdecode(b"b\xe4r")).write_bytes(b"grizzly")
    assert len({plain, with_pipe, folder_fingerprint(tmp_path)}) == 3
