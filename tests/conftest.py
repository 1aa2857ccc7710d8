"""What many tests share: tiny data sets and weights, written once a session, and a browser."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from answers import Shell
from writers import write_davis, write_images, write_videos

from stt_core.checkpoints import save_weights
from stt_core.encoder import random_encoder

torch.set_num_threads(1)  # on tensors this small, threads that wait for each other take ten times as long


@pytest.fixture(scope="session")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with "imagenet", "youtube-vos" and "davis", but neither "vip" nor "jhmdb". Read only."""
    root = tmp_path_factory.mktemp("data")
    write_images(root / "imagenet")
    write_videos(root / "youtube-vos")
    write_davis(root / "davis")
    return root


@pytest.fixture(scope="session")
def initial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a narrow ResNet-18 that reads Lab."""
    path = tmp_path_factory.mktemp("weights") / "initial.pth"
    save_weights(path, random_encoder(18, 0.125), input="lab")
    return path


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> Shell:
    """`stt` in this process."""
    return Shell(monkeypatch, capfd)


@pytest.fixture(scope="module")  # no longer, since its event loop runs until the end
def browser():
    """A headless Chromium, such as Debian's package has."""
    driver = pytest.importorskip("playwright.sync_api")
    executable = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if executable is None:
        missing = pytest.fail if os.environ.get("GITHUB_ACTIONS") else pytest.skip  # there it must not pass unseen
        missing("no Chromium on PATH")
    with driver.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable)
        yield started
        started.close()
