"""Memory stays flat: a share of `soak.py`."""

import sys

import pytest
import soak


def test_propagation_after_propagation_holds_no_more_memory() -> None:
    held = soak.propagations(12)
    # The first ones fill what stays: buffers of threads, OpenCV's and PyTorch's caches.
    assert held[-1] - held[3] < 10


def test_the_peak_of_a_command_and_its_processes() -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells what processes share")
    hold = "x = bytearray(200_000_000); import time; time.sleep(1.5)"
    two = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{hold}']); {hold}"
    code, most = soak.peak([sys.executable, "-c", two])
    assert code == 0
    assert 200 < most < 300  # one after the other
    both = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', '{hold}']); {hold}; p.wait()"
    assert 400 < soak.peak([sys.executable, "-c", both])[1] < 500
