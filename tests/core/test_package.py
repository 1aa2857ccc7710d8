"""The package's own names: there, documented, and not loaded before they are asked for."""

import doctest
import subprocess
import sys

import pytest
import torch
from pydantic import Field

import stt_core
from stt_core import correlation, encoder, features, losses, propagation, settings, spatial, temporal


@pytest.mark.parametrize("name", stt_core.__all__)
def test_public_names_are_documented(name: str) -> None:
    thing = getattr(stt_core, name)
    assert thing.__name__ == name
    assert thing.__doc__.strip()


@pytest.mark.parametrize(
    "module",
    [correlation, encoder, features, losses, propagation, settings, spatial, temporal],
    ids=lambda module: module.__name__,
)
def test_examples_hold(module) -> None:
    found = doctest.testmod(module, extraglobs={"Field": Field, "torch": torch}, report=True)
    assert found.attempted
    assert not found.failed


def test_the_package_alone_loads_nothing() -> None:
    program = "import sys, stt_core; print([name for name in ('torch', 'cv2', 'stt_study') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
