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
from pydantic import Field

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
    return {"torch": torch, "np": np, "Field": Field, "folder": tmp_path_factory.mktemp("examples"), **data}


MODULES = ["stt_core", *(f"stt_core.{module}" for module in ("correlation", "settings", *stt_core._HOMES))]


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name: str, known: dict) -> None:
    module = import_module(name)
    assert not doctest.testmod(module, extraglobs=known, report=True).failed


def test_every_public_name_is_in_an_example() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    examples = [example for name in MODULES for test in finder.find(import_module(name)) for example in test.examples]
    shown = set(re.findall(r"\w+", " ".join(example.source + example.want for example in examples)))
    assert set(stt_core.__all__) <= shown


def test_the_package_alone_loads_nothing() -> None:
    program = "import sys, stt_core; print([name for name in ('torch', 'cv2', 'stt_study') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
