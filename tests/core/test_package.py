"""The package's own names: there, documented, and not loaded before they are asked for."""

import doctest
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

import stt_core


@pytest.mark.parametrize("name", stt_core.__all__)
def test_public_names_are_documented(name: str) -> None:
    thing = getattr(stt_core, name)
    assert thing.__name__ == name
    assert thing.__doc__.strip()


@pytest.fixture(scope="module")
def known(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What examples take for granted."""
    data = {"photos": data_folder / "imagenet", "videos": data_folder / "youtube-vos"}
    return {"torch": torch, "np": np, "folder": tmp_path_factory.mktemp("examples"), **data}


BOOK = Path(__file__).parents[2] / "book"
PAGES = [BOOK / "api.md", *sorted((BOOK / "api").glob("*.md"))]
MODULES = ["stt_core", *(f"stt_core.{module}" for module in ("correlation", *stt_core._HOMES))]


def test_examples_hold(known: dict) -> None:
    found = {name: doctest.testmod(import_module(name), extraglobs=known, report=True).failed for name in MODULES}
    assert sum(found.values()) == 0, found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_examples_of_pages_hold(page: Path, known: dict) -> None:
    assert not doctest.testfile(str(page), module_relative=False, globs=dict(known), encoding="utf-8").failed


def test_every_public_name_is_in_an_example() -> None:
    docstrings = [test for name in MODULES for test in doctest.DocTestFinder().find(import_module(name))]
    pages = [doctest.DocTestParser().get_doctest(page.read_text("utf-8"), {}, page.stem, None, 0) for page in PAGES]
    examples = [example for test in docstrings + pages for example in test.examples]
    shown = set(re.findall(r"\w+", " ".join(example.source + example.want for example in examples)))
    assert set(stt_core.__all__) <= shown


def test_the_package_alone_loads_nothing() -> None:
    program = "import sys, stt_core; print([name for name in ('torch', 'cv2', 'stt_study') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
