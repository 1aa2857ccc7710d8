"""`stt` in this process, for the tables of bad inputs."""

import pytest
from answers import Shell


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> Shell:
    return Shell(monkeypatch, capfd)
