"""The store's keys: what changes them and what must not."""

import os
import shutil
import subprocess
import sys

import pytest

from stt_core.errors import InputError
from stt_core.provenance import provenance
from stt_core.training.run import Run
from stt_core.training.train_spatial import train_spatial
from stt_core.training.train_temporal import train_temporal
from stt_study.benchmarks.jhmdb import jhmdb_clips
from stt_study.speed import bench
from stt_study.store import OURS, RECORDS, code_fingerprint, folder_fingerprint
from stt_study.trainings import ROOT


def test_code_fingerprint_sees_code_alone(tmp_path):
    (tmp_path / "stt_core").mkdir()

    def fingerprint(text):
        (tmp_path / "stt_core" / "module.py").write_text(text)
        return code_fingerprint("stt_core.module", root=tmp_path)

    plain = fingerprint("def f(x):\n    return x + 1\n")
    assert (
        fingerprint('"""What it is."""\n# Why.\ndef f(x):\n    """Doc."""\n    return (x +\n        1)  # one\n')
        == plain
    )
    assert fingerprint("def f(x):\n    return x + 2\n") != plain
    assert fingerprint("def f(x):\n    'a'\n    y = 'b'\n") == fingerprint("def f(x):\n    y = 'b'\n")
    assert fingerprint("def f(x):\n    y = 'c'\n") != fingerprint("def f(x):\n    y = 'b'\n")
    with pytest.raises(InputError, match=r"stt_core\.other is no module"):
        code_fingerprint("stt_core.other", root=tmp_path)
    with pytest.raises(InputError, match=r"module\.py, line 1, is not valid Python"):
        fingerprint("def f(:\n")


@pytest.fixture
def edited(tmp_path):
    """A module's code key, in a copy of our packages in which other modules have one more line."""
    unneeded = shutil.ignore_patterns("__pycache__", "weights")
    for package in OURS:
        if (ROOT / package).is_dir():
            shutil.copytree(ROOT / package, tmp_path / package, ignore=unneeded)

    def key(module, *others):
        for other in others:
            with open(tmp_path / f"{other.replace('.', '/')}.py", "a") as file:
                file.write("\nMORE = 1\n")
        return code_fingerprint(module, root=tmp_path)

    return key


@pytest.mark.parametrize("module", [train_spatial.__module__, train_temporal.__module__])
def test_all_that_a_training_uses_is_in_its_key(edited, module):
    """Every module of ours that a fresh process has in memory once it has imported the training's."""
    code = f"import sys, {module}; print(*(name for name in sys.modules if name.startswith('stt_')))"
    used = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    used = {name for name in used if (ROOT / f"{name.replace('.', '/')}.py").is_file()}
    assert {module, Run.__module__, InputError.__module__, provenance.__module__} <= used
    keys = {edited(module)}
    for name in used - {RECORDS}:
        keys.add(edited(module, name))
    assert len(keys) == len(used)
    before = edited(module)
    assert edited(module, RECORDS, jhmdb_clips.__module__, bench.__name__) == before


def test_imports_inside_functions_are_followed(tmp_path):
    (tmp_path / "stt_core").mkdir()
    (tmp_path / "stt_core" / "a.py").write_text("def f():\n    from stt_core import b\n    import stt_core.c\n")
    (tmp_path / "page.py").write_text("from stt_core.a import f\n")
    keys = set()
    for b, c in ((1, 1), (2, 1), (1, 2)):
        (tmp_path / "stt_core" / "b.py").write_text(f"x = {b}\n")
        (tmp_path / "stt_core" / "c.py").write_text(f"x = {c}\n")
        keys |= {code_fingerprint("stt_core.a", root=tmp_path), code_fingerprint(tmp_path / "page.py", root=tmp_path)}
    assert len(keys) == 6


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
    (tmp_path / "3" / "link").symlink_to(tmp_path / "2")  # links are followed
    linked = folder_fingerprint(tmp_path / "3")
    (tmp_path / "2" / "a" / "small").write_bytes(b"eno")
    assert folder_fingerprint(tmp_path / "3") != linked
