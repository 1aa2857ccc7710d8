"""Objects and points through one's own video: an orange square that walks over noise, and all that can go wrong."""

import csv
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from alive import Alive
from answers import Shell, assert_refused
from PIL import Image
from writers import write_lines, write_picture

from stt_core.errors import InputError
from stt_core.features import feature_source
from stt_core.files import read_json
from stt_core.labels import read_mask, write_mask
from stt_core.propagation import Context, Inference
from stt_study.benchmarks.jhmdb import JHMDB
from stt_study.benchmarks.labelled_videos import in_picture
from stt_study.video import follow as own_video
from stt_study.video.drawing import blended
from stt_study.video.follow import lost, object_confidence, point_confidence, propagate_video
from stt_study.video.frames import Video, write_video
from stt_study.video.given import Given, inner_points, read_objects, read_points
from stt_study.world.layouts import World, jhmdb_video

SIZE = (60, 84)  # height, width; features are made at 48 x 67, so that nothing fits by chance
INFERENCE = Inference(resize=48, num_preceding=3, radius=3)
SOURCE = feature_source("lab", stride=4)


def corner(t: int) -> tuple[int, int]:
    return 8 + t, 10 + 2 * t


def frames(count: int) -> list[np.ndarray]:
    ground = cv2.resize(np.random.default_rng(0).integers(0, 90, (15, 21, 3), dtype=np.uint8), SIZE[::-1])
    images = []
    for t in range(count):
        y, x = corner(t)
        image = ground.copy()
        image[y : y + 20, x : x + 20] = (250, 140, 20)
        images.append(image)
    return images


def truth(t: int) -> np.ndarray:
    y, x = corner(t)
    ids = np.zeros(SIZE, np.uint8)
    ids[y : y + 20, x : x + 20] = 1
    return ids


@pytest.fixture
def given(tmp_path: Path) -> dict[str, Path]:
    """A mask of the square, and two points: its middle, and one on the ground."""
    Image.fromarray(truth(0)).save(tmp_path / "mask.png")
    (tmp_path / "points.csv").write_text("name,x,y\nmiddle,19.5,17.5\nground,70,50\n")
    return {"mask": tmp_path / "mask.png", "points": tmp_path / "points.csv"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "frames").mkdir()
    for t, image in enumerate(frames(14)):
        cv2.imwrite(str(tmp_path / "frames" / f"{t}.png"), image[..., ::-1])
    return tmp_path / "frames"


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}


def film(path: Path) -> np.ndarray:
    reader, images = cv2.VideoCapture(str(path)), []
    while (read := reader.read())[0]:
        images.append(read[1][..., ::-1])
    return np.stack(images)


def test_square(tmp_path: Path, given: dict[str, Path]) -> None:
    """Results have the video's own size and times, and follow the square."""
    images = frames(14)
    write_video(tmp_path / "walk.mp4", [(t / 10, image) for t, image in enumerate(images)], 10)
    out = tmp_path / "out"
    results = propagate_video(SOURCE, tmp_path / "walk.mp4", out, INFERENCE, **given)
    assert results["frames"] == 14
    assert results["video"] == {"name": "walk.mp4", "size": [84, 60], "rate": 10.0}
    names = ["masks", "masks.csv", "overlay.mp4", "points.csv", "settings.json"]
    assert sorted(path.name for path in out.iterdir()) == names

    objects = rows(out / "masks.csv")
    assert [(row["frame"], float(row["time_s"]), row["object"]) for row in objects] == [
        (str(t), pytest.approx(t / 10), "1") for t in range(14)
    ]
    for t, row in enumerate(objects):
        with Image.open(out / "masks" / f"{t:05d}.png") as mask:
            assert mask.getpalette()[:6] == [0, 0, 0, 128, 0, 0]
            ids = np.array(mask)
        assert ids.shape == SIZE
        assert int(row["area_px"]) == ids.sum()
        overlap = (ids & truth(t)).sum() / (ids | truth(t)).sum()
        assert overlap == 1 if t == 0 else overlap > 0.65
        assert 0 < float(row["confidence"]) <= 1

    points = rows(out / "points.csv")
    assert [(row["frame"], row["name"]) for row in points] == [
        (str(t), n) for t in range(14) for n in ("middle", "ground")
    ]
    assert [(row["x"], row["y"], row["confidence"]) for row in points[:2]] == [
        ("19.50", "17.50", "1.0000"),
        ("70.00", "50.00", "1.0000"),
    ]
    for row in points[1::2]:
        assert np.hypot(float(row["x"]) - 70, float(row["y"]) - 50) < 6

    pictures = film(out / "overlay.mp4")
    assert pictures.shape == (14, *SIZE, 3)
    red = pictures[3].astype(int) - images[3]
    assert red[truth(3) == 1].mean() < -10  # dark red over orange
    assert np.abs(red[:8, :8]).mean() < 8  # nothing is drawn there


def stopped_at(monkeypatch: pytest.MonkeyPatch, count: int) -> list[int]:
    """From now on, Ctrl-C comes once `count` frames' features are made; the list grows with each of them."""
    made: list[int] = []

    def features_of(source, images, resize):
        for features in original(source, images, resize):
            if len(made) == count:
                raise KeyboardInterrupt
            made.append(len(made))
            yield features

    original = own_video.features_of
    monkeypatch.setattr(own_video, "features_of", features_of)
    return made


@pytest.mark.parametrize("num_preceding", [3, 0])
def test_stopped_and_gone_on(
    tmp_path: Path, folder: Path, given: dict[str, Path], monkeypatch: pytest.MonkeyPatch, num_preceding: int
) -> None:
    """The same files, to the last digit, wherever it was stopped, and no frame is followed twice."""
    inference = Inference(resize=48, num_preceding=num_preceding, radius=3)
    propagate_video(SOURCE, folder, tmp_path / "whole", inference, **given)
    whole = contents(tmp_path / "whole")
    followed: list[int] = []
    propagate = Context.propagate
    monkeypatch.setattr(Context, "propagate", lambda self, t, frame: followed.append(t) or propagate(self, t, frame))
    for count in (1, 2, 3, 8, 13):
        followed.clear()
        out = tmp_path / f"stopped{count}"
        with monkeypatch.context() as patch:
            stopped_at(patch, count)
            with pytest.raises(KeyboardInterrupt):
                propagate_video(SOURCE, folder, out, inference, **given)
        assert len(rows(out / "points.csv")) == 2 * count
        assert len(list((out / "masks").iterdir())) == count
        propagate_video(SOURCE, folder, out, inference, **given)
        assert followed == list(range(1, 14))
        assert contents(out) == whole


def test_killed(tmp_path: Path, folder: Path, given: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is saved at the end: what was written after the last saved state is written anew."""
    propagate_video(SOURCE, folder, tmp_path / "whole", INFERENCE, **given)
    monkeypatch.setattr(own_video, "EVERY", 4)
    out, saved = tmp_path / "out", []
    write = own_video.write_tensors

    def killed_later(path: Path, state: dict) -> None:
        if not saved:  # the state after four frames is the last that is written
            write(path, state)
        saved.append(state["frames"])

    with monkeypatch.context() as patch:
        patch.setattr(own_video, "write_tensors", killed_later)
        stopped_at(patch, 7)
        with pytest.raises(KeyboardInterrupt):
            propagate_video(SOURCE, folder, out, INFERENCE, **given)
    assert saved == [4, 7]
    assert torch.load(out / "state.pt", weights_only=True)["frames"] == 4
    (out / "points.csv").unlink()
    propagate_video(SOURCE, folder, out, INFERENCE, **given)
    assert contents(out) == contents(tmp_path / "whole")


def test_a_finished_run_is_left_alone(
    tmp_path: Path, folder: Path, given: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    first = propagate_video(SOURCE, folder, out, INFERENCE, **given)
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    made = stopped_at(monkeypatch, 0)
    assert propagate_video(SOURCE, folder, out, INFERENCE, **given) == first == read_json(out / "settings.json")
    assert made == []
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == stamps


def test_another_run_is_not_overwritten(
    tmp_path: Path, folder: Path, given: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        stopped_at(patch, 6)
        with pytest.raises(KeyboardInterrupt):
            propagate_video(SOURCE, folder, out, INFERENCE, **given)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    def refused(words: str, *, source=SOURCE, inference=INFERENCE, path=folder, to=out, **changed: Path) -> None:
        with pytest.raises(InputError, match=words):
            propagate_video(source, path, to, inference, **given | changed)
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before

    other = shutil.copy(given["points"], tmp_path / "other.csv")
    with open(other, "a") as file:
        file.write("third,5,5\n")
    refused("begun with another points;", points=other)
    refused("begun with another propagation;", inference=Inference(resize=48, num_preceding=3, radius=4))
    refused("begun with another weights and stride;", source=feature_source("random", stride=8, width=0.25))
    (folder / "13.png").touch()  # not done yet: it may be repaired
    (folder / "2.png").touch()
    refused("frames has changed since")
    refused("holds other things", to=folder)
    assert len(list(folder.iterdir())) == 14


def test_a_frame_in_the_middle_is_broken(tmp_path: Path, folder: Path, given: dict[str, Path]) -> None:
    """Named; what came before is kept, with its film; repaired, the run goes on."""
    propagate_video(SOURCE, folder, tmp_path / "whole", INFERENCE, **given)
    whole = contents(tmp_path / "whole")
    whole.pop("settings.json")  # has the frames' time stamps
    good, out = (folder / "7.png").read_bytes(), tmp_path / "out"
    (folder / "7.png").write_bytes(good[: len(good) // 2])
    with pytest.raises(InputError, match=r"7\.png cannot be decoded"):
        propagate_video(SOURCE, folder, out, INFERENCE, **given)
    assert len(rows(out / "points.csv")) == 14
    assert sorted(path.name for path in (out / "masks").iterdir()) == [f"{t:05d}.png" for t in range(7)]
    assert len(film(out / "overlay.mp4")) == 7
    (folder / "7.png").write_bytes(good)
    assert propagate_video(SOURCE, folder, out, INFERENCE, **given)["frames"] == 14
    after = contents(out)
    after.pop("settings.json")
    assert after == whole


def test_memory_does_not_grow(tmp_path: Path, given: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoded frames and label maps that are alive at a time, in a short and in a long video."""

    def frames_of(self, skip=()):
        for frame in read(self, skip):
            decoded(frame.image)
            yield frame

    read, propagate = Video.frames, Context.propagate
    monkeypatch.setattr(Video, "frames", frames_of)
    monkeypatch.setattr(Context, "propagate", lambda self, t, frame: maps(propagate(self, t, frame)))
    images, counts = frames(14), []
    for count in (12, 60):
        write_video(tmp_path / f"{count}.mp4", [(t / 10, images[t % 14]) for t in range(count)], 10)
        decoded, maps = Alive(), Alive()
        propagate_video(SOURCE, tmp_path / f"{count}.mp4", tmp_path / f"out{count}", INFERENCE, **given)
        counts.append((decoded.most, maps.most))
    assert counts[0] == counts[1]
    assert counts[0][0] <= 3
    assert counts[0][1] <= INFERENCE.num_preceding + 2


def test_only_one_of_both(tmp_path: Path, folder: Path, given: dict[str, Path]) -> None:
    propagate_video(SOURCE, folder, tmp_path / "a", INFERENCE, mask=given["mask"])
    propagate_video(SOURCE, folder, tmp_path / "b", INFERENCE, points=given["points"])
    common = {"overlay.mp4", "settings.json"}
    assert {path.name for path in (tmp_path / "a").iterdir()} == common | {"masks", "masks.csv"}
    assert {path.name for path in (tmp_path / "b").iterdir()} == common | {"points.csv"}
    with pytest.raises(InputError, match="nothing to follow"):
        propagate_video(SOURCE, folder, tmp_path / "c", INFERENCE)
    assert not (tmp_path / "c").exists()


def test_confidence_by_hand() -> None:
    first = torch.tensor([[[1.0, 0, 0, 0]], [[0.8, 0.1, 0, 0]]])
    later = torch.tensor([[[0.5, 0.5, 0, 0]], [[0, 0.2, 0.1, 0]]])
    assert object_confidence(first[:1]) == [1.0]
    assert object_confidence(later) == pytest.approx([0.5, (0.2**2 + 0.1**2) / 0.3])
    assert object_confidence(torch.zeros(1, 2, 2)) == [0.0]
    assert point_confidence(first, first) == [1.0, 1.0]
    assert point_confidence(later, first) == pytest.approx([0.5, 0.25])


def test_maps_of_the_first_frame() -> None:
    """By hand: 4x6 cells of 8 px of frames half the video's size; the centre of cell (i, j) is 16 i + 7.5 there."""
    ids = np.zeros((64, 96), np.uint8)
    ids[16:48, 32:64], ids[48:, :16] = 4, 9
    places = np.array([[16 * 4 + 7.5, 16 * 2 + 7.5], [0, 0], [95, 63]], np.float32)
    given = Given(ids, ("centre", "first", "last"), places)
    maps = given.maps((64, 96), (32, 48), (4, 6))
    assert given.classes.tolist() == [0, 4, 9]
    expected = np.zeros((4, 6))
    expected[1:3, 2:4], expected[3, 0] = 1, 2
    assert np.array_equal(maps[:3].argmax(dim=0), expected)
    assert maps[:3].sum(dim=0).eq(1).all()
    peaks = [divmod(int(one.argmax()), 6) for one in maps[3:]]
    assert peaks == [(2, 4), (0, 0), (3, 5)]
    # Between the four pixels around it, half a pixel off in x and y; its neighbour is 8 px farther in x.
    x, near, far = np.exp(-(0.5**2) / 32), np.exp(-(7.5**2) / 32), np.exp(-(8.5**2) / 32)
    assert float(maps[3, 2, 4]) == pytest.approx(x**2, rel=1e-5)
    assert float(maps[3, 2, 3]) == pytest.approx(x * (near + far) / 2, rel=1e-5)


def test_a_point_that_left_the_picture(tmp_path: Path, given: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The square walks out on the right: from then on its point is empty in the table, and faded in the film."""
    monkeypatch.setattr(own_video, "EDGE", 99)  # what is left of the peak is anywhere in this small picture
    ground = frames(1)[0]
    ground[8:28, 10:30] = ground[30:50, 10:30]
    images = [ground.copy() for _ in range(40)]
    for t, image in enumerate(images):
        image[8:28, 10 + 2 * t : 30 + 2 * t] = (250, 140, 20)
    write_video(tmp_path / "walk.mp4", [(t / 10, image) for t, image in enumerate(images)], 10)
    propagate_video(SOURCE, tmp_path / "walk.mp4", tmp_path / "out", INFERENCE, points=given["points"])
    points = rows(tmp_path / "out" / "points.csv")
    assert [not row["x"] for row in points[::2]] == [10 + 2 * t >= SIZE[1] for t in range(40)]
    assert all(row["x"] for row in points[1::2])
    drawn = film(tmp_path / "out" / "overlay.mp4").astype(int)
    x, y = (round(float(points[2 * 36][axis])) for axis in "xy")
    seen, faded = (np.abs(drawn[t] - images[t])[y - 4 : y + 5, x - 4 : x + 2].mean() for t in (36, 39))
    assert 0.15 * seen < faded < 0.6 * seen


def test_lost_by_hand() -> None:
    """A picture of 80x160 px on 10x20 cells of 8 px: a cell from the picture's edge, at -0.5, is 7.5 px."""
    places = np.array([[7.4, 40], [7.6, 40], [7.4, 40], [80, 71.6], [151.6, 40], [-1, -1]])
    confidence = [0.29, 0.29, 0.31, 0.29, 0.29, 0.0]
    assert lost(places, confidence, (80, 160), (10, 20)).tolist() == [True, False, False, True, True, True]
    assert lost(np.array([]), [], (80, 160), (10, 20)).tolist() == []


def test_lost_on_joints_of_the_shipped_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule's own figures, on a few of the clips that it was chosen on, whose joints are known outside, too."""
    names = [jhmdb_video(tmp_path, World(), "val", number)[0] for number in range(4)]
    line = "JHMDB/joint_positions/{0}/joint_positions.mat JHMDB/Rename_Images/{0}"
    write_lines(tmp_path / "jhmdb" / "train_list.txt", *map(line.format, names))
    asked, well, outside = [], [], []
    monkeypatch.setattr(
        own_video, "lost", lambda places, *rest: asked.append((places, lost(places, *rest))) or asked[-1][1]
    )
    for number, clip in enumerate(JHMDB.read(tmp_path / "jhmdb", split="train")):
        seen = np.stack([in_picture(joints, (240, 240)) for joints in clip.joints])  # (T, J)
        first = [f"{j},{x:f},{y:f}" for j, (x, y) in enumerate(clip.joints[0]) if seen[0, j]]
        write_lines(tmp_path / "points.csv", "name,x,y", *first)
        source, follow = feature_source("full"), Inference(resize=240, radius=6)
        propagate_video(source, clip.frames[0].parent, tmp_path / str(number), follow, points=tmp_path / "points.csv")
        for joints, inside, (places, gone) in zip(clip.joints, seen, asked[-len(seen) :], strict=True):
            joints, inside, reach = (
                joints[seen[0]],
                inside[seen[0]],
                0.06 * np.hypot(*np.ptp(joints, axis=0)),
            )  # PCK@0.1
            well += gone[inside & (np.hypot(*(places - joints).T) < reach)].tolist()
            outside += gone[~inside].tolist()
    assert np.mean(well) < 0.02
    assert np.mean(outside) > 0.2


def saved(path: Path, image: Image.Image) -> Path:
    image.save(path)
    return path


def test_ids_that_are_kept(tmp_path: Path, folder: Path) -> None:
    """As the user numbered them, with gaps, in masks and table; 255 is followed by nobody."""
    ids = truth(0) * 3
    ids[50:, 60:], ids[:4] = 7, 255
    path = saved(tmp_path / "ids.png", Image.fromarray(ids))
    assert np.array_equal(read_objects(path, SIZE), np.where(ids == 255, 0, ids))
    propagate_video(SOURCE, folder, tmp_path / "out", INFERENCE, mask=path)
    found = rows(tmp_path / "out" / "masks.csv")
    assert [row["object"] for row in found] == ["3", "7"] * 14
    for t, row in enumerate(found[::2]):
        mask = np.array(Image.open(tmp_path / "out" / "masks" / f"{t:05d}.png"))
        assert int(row["area_px"]) == (mask == 3).sum()
        assert set(np.unique(mask)) == {0, 3, 7}
        assert ((mask == 3) & (truth(t) == 1)).sum() / ((mask == 3) | (truth(t) == 1)).sum() > 0.65
    # The same maps, numbered without a gap, go the same way.
    dense = np.where(ids == 255, 0, np.searchsorted([0, 3, 7], ids)).astype(np.uint8)
    propagate_video(
        SOURCE, folder, tmp_path / "dense", INFERENCE, mask=saved(tmp_path / "dense.png", Image.fromarray(dense))
    )
    for t in range(14):
        pair = [np.array(Image.open(tmp_path / out / "masks" / f"{t:05d}.png")) for out in ("out", "dense")]
        assert np.array_equal(pair[0], np.array([0, 3, 7], np.uint8)[pair[1]])


DISC = np.where(np.hypot(*np.mgrid[-60:60, -90:90]) < 40, 255, 0).astype(np.uint8)


def on_clear(value: int) -> Image.Image:
    """The disc in white; around it, this grey behind nothing."""
    return Image.merge("LA", [Image.fromarray(np.where(DISC, 255, value).astype(np.uint8)), Image.fromarray(DISC)])


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(DISC),
        *(Image.fromarray(DISC).convert(mode) for mode in ("1", "RGB", "RGBA", "LA", "P")),
        on_clear(0),
        on_clear(255).convert("RGBA"),
        Image.fromarray(DISC).quantize(2),
        Image.fromarray(cv2.GaussianBlur(DISC, (0, 0), 3)).convert("P"),
        Image.fromarray(cv2.blur(DISC, (3, 3))).convert("RGB").quantize(4),
        *(Image.fromarray(cv2.GaussianBlur(DISC, (0, 0), sigma)) for sigma in (0.6, 3, 15)),
        Image.fromarray(cv2.GaussianBlur(DISC, (0, 0), 3)).convert("RGBA"),
    ],
)
def test_white_on_black_is_one_object(tmp_path: Path, image: Image.Image) -> None:
    found = read_objects(saved(tmp_path / "mask.png", image), DISC.shape)
    assert set(np.unique(found)) == {0, 1}
    assert (found != (DISC > 0)).mean() < 0.04  # a wide blur moves the edge of a disc


@pytest.mark.parametrize("mode", ["P", "RGB", "RGBA", "L"])
def test_ids_are_the_same_in_a_palette_in_greys_and_in_colours(tmp_path: Path, mode: str) -> None:
    blocks = np.kron(np.arange(256, dtype=np.uint8).reshape(16, 16), np.ones((9, 9), np.uint8))
    write_mask(tmp_path / "mask.png", blocks)
    with Image.open(tmp_path / "mask.png") as palette:
        image = Image.fromarray(blocks) if mode == "L" else palette.convert(mode)
    path = saved(tmp_path / "mask.png", image)
    assert np.array_equal(read_mask(path), blocks)
    assert np.array_equal(read_objects(path, blocks.shape), blocks % 255)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.array([[0, 0, 0]], np.uint8), "has no object to follow"),
        (np.array([[0, 1, 1], [0, 0, 0]], np.uint8), "is 3x2 px but the video is 3x1 px"),
        (np.array([[0, 256, 300]], np.uint16), "has 16 bits a pixel; save it with 8, which hold the ids of up to 254"),
        (np.array([[[0, 0, 0], [255, 0, 0], [128, 0, 0]]], np.uint8), "has colours that aren't DAVIS's; save ids"),
    ],
)
def test_masks_that_are_refused(tmp_path: Path, values: np.ndarray, words: str) -> None:
    path = tmp_path / "mask.png"
    write_picture(path, values)
    with pytest.raises(InputError, match=words) as error:
        read_objects(path, (1, 3))
    assert str(path) in str(error.value)


def test_points_that_are_taken(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text('\ufeffy,name, x\n0,"a, b",0\n\n 59, ö ,83.0\n', encoding="utf-8")
    names, places = read_points(path, SIZE)
    assert names == ("a, b", "ö")
    assert places.tolist() == [[0, 0], [83, 59]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "should begin with the line 'name,x,y'"),
        ("name,x,y\n", "has no point to follow"),
        ("name,x,y\na,1,2\nb,84,2\n", "line 3: b is at 84, 2, outside of 84x60 px"),
        ("name,x,y\na,inf,6\n", "line 2: a is at inf, 6, outside"),
        ("name,x,y\na,1,2\n\nb,1,two\n", "line 4 isn't a name and two numbers"),
        ("name,x,y\na,1,2,3\n", "line 2 isn't"),
        ("name,x,y\n,1,2\n", "line 2 isn't"),
        ("name,x,y\na,1,2\na,3,4\n", "line 3: there is a point a before"),
        ("name,x,y\nö,1,2\n", "cannot be read as a table"),  # in Latin-1
        (None, "is missing"),
    ],
)
def test_points_that_are_refused(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "points.csv"
    if text is not None:
        path.write_text(text, encoding="latin-1")
    with pytest.raises(InputError) as error:
        read_points(path, SIZE)
    assert str(error.value).startswith(str(path))
    assert words in str(error.value)


def test_inner_points() -> None:
    """The middles of a disk and of a square that the picture's edge cuts: its deepest pixel is at its middle."""
    y, x = np.mgrid[:40, :60]
    ids = np.where((y - 20) ** 2 + (x - 40) ** 2 <= 100, 1, 0)
    ids[:11, :11] = 3
    assert inner_points(ids) == [("object 1", 40, 20), ("object 3", 5, 5)]


def test_blended() -> None:
    """55 % of the object's colour; outlines a quarter as bright; the rest as it was."""
    image = np.full((9, 9, 3), 100, np.uint8)
    ids = np.zeros((9, 9), np.uint8)
    ids[2:7, 2:7] = 1
    drawn = blended(image, ids)
    assert drawn[4, 4].tolist() == [round(45 + 0.55 * 128), 45, 45]
    assert drawn[0, 0].tolist() == [100, 100, 100]
    assert drawn[1, 4].tolist() == [25, 25, 25]
    assert drawn[2, 4].tolist() == [round(45 + 0.55 * 128) // 4, 11, 11]
    assert (image == 100).all()


def test_command_line(
    tmp_path: Path, folder: Path, given: dict[str, Path], monkeypatch: pytest.MonkeyPatch, shell: Shell
) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    both = ("--mask", given["mask"], "--points", given["points"], "--weights", "lab")
    run = ("propagate", folder, *both, "--out", out, "--resize", 48, "--stride", 4, "--rate", 5)
    with monkeypatch.context() as patch:
        stopped_at(patch, 6)
        answer = shell(*run)
    assert (answer.code, answer.output) == (130, "")
    assert answer.error.startswith("stt: stopped")
    answer = shell(*run)
    assert (answer.code, answer.output, answer.error) == (0, f"14 frames\n{out / 'overlay.mp4'}\n", "")
    settings = read_json(out / "settings.json")
    assert settings["propagation"] == vars(Inference(resize=48, radius=35))  # the paper's on DAVIS at stride 4
    assert (settings["stride"], settings["video"]["rate"]) == (4, 5)
    assert rows(out / "points.csv")[2]["time_s"] == "0.2"
    for arguments, words in (
        ((folder, *both, "--out", "new", "--rate", 0), "--rate is 0"),
        ((folder, *both, "--out", "new", "--preset", "davis"), "there is no preset davis"),
    ):
        assert_refused(shell("propagate", *arguments), words)
    assert {path.name for path in Path("new").rglob("*")} <= {".lock"}
