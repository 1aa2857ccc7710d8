"""How masks fail: each kind by masks made by hand, and all of them together against recall."""

from pathlib import Path

import numpy as np
import pytest

from stt_study.analysis.failures import failures, kind
from stt_study.study import Study

TRUE = np.zeros((20, 40), np.uint8)
TRUE[5:15, 5:15], TRUE[5:15, 25:35], TRUE[:2] = 1, 2, 255  # two objects of 100 px, and void


def only(rows: slice, columns: slice) -> np.ndarray:
    """Ids with object 1 in a rectangle."""
    ids = np.zeros_like(TRUE)
    ids[rows, columns] = 1
    return ids


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        (slice(0), slice(0), "lost"),
        (slice(5, 8), slice(5, 8), "lost"),  # 9 of 100 px, though all on the object
        (slice(5, 7), slice(5, 10), "drift"),  # 10 px: shrunken, not lost
        (slice(5, 15), slice(11, 21), "drift"),  # 40 px on the object
        (slice(5, 15), slice(15, 25), "drift"),  # beside it, on the ground
        (slice(0, 2), slice(0, 20), "drift"),  # void is ground
        (slice(5, 15), slice(20, 30), "swap"),  # half of it on object 2
        (slice(5, 15), slice(21, 29), "swap"),
        (slice(5, 15), slice(19, 29), "drift"),  # 40 px on object 2
        (slice(0, 20), slice(5, 20), "leak"),  # all of the object, J = 1/3
        (slice(5, 15), slice(10, 22), "leak"),  # half of it
    ],
)
def test_kinds_by_hand(rows: slice, columns: slice, expected: str) -> None:
    assert kind(only(rows, columns), TRUE, 1) == expected


def test_a_mask_of_an_object_out_of_sight_is_a_leak_or_a_swap() -> None:
    alone = np.where(TRUE == 1, 0, TRUE).astype(np.uint8)
    assert kind(only(slice(5, 15), slice(5, 15)), alone, 1) == "leak"
    assert kind(only(slice(5, 15), slice(25, 35)), alone, 1) == "swap"


def test_all_kinds_and_recall_make_a_hundred(data_folder: Path, tmp_path: Path) -> None:
    settings = {"evaluation": {"davis": {"resize": 40, "radius": 3}}, "real": [], "supervised": []}
    study = Study("tiny", data=str(data_folder), runs=str(tmp_path), settings=settings)
    results = study.results("davis", ["copy", "random"])
    found = failures(study, "davis", results)
    recall = [100 * result["metrics"]["J-Recall"] for result in results.values()]
    np.testing.assert_allclose(found.sum(axis=1), 100 - np.array(recall))
    assert (found.sum(axis=1) > 0).any()
