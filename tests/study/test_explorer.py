"""The explorer's files against the features and tracks they come from; the page itself, in a headless browser."""

import base64
import io
import json
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from stt_core.checkpoints import save_weights
from stt_core.encoder import random_encoder
from stt_core.features import feature_source, resized
from stt_core.labels import decode_keypoints, keypoints_to_maps, to_grid
from stt_core.pictures import read_image
from stt_core.propagation import propagate
from stt_study.figures import explorer
from stt_study.figures.explorer import points_of, write_explorer
from stt_study.study import Study
from stt_study.variants import title

STATIC = Path(__file__).parents[2] / "book" / "_static"
GRID, SIZE = (12, 16), (48, 64)  # cells, and px of the frames
CELL = 4  # px of the frames
DAVIS = {"resize": 96, "radius": 3, "num_preceding": 2, "temperature": 0.2}


@pytest.fixture(scope="module")
def study(data_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("explorer")
    settings = {"spatial": {"width": 0.25}, "evaluation": {"davis": DAVIS}, "real": [], "supervised": []}
    study = Study("tiny", data=str(data_folder), runs=str(folder), settings=settings)
    paths = {"random": "random"}
    for seed, name in enumerate(("step_one", "step_two", "full"), start=5):
        paths[name] = str(folder / f"{name}.pth")
        save_weights(paths[name], random_encoder(18, 0.25, seed), input="lab")
    study.source = paths.__getitem__  # nothing is trained here
    return study


@pytest.fixture(scope="module")
def written(study: Study) -> Path:
    folder = study.out / "explorer"
    folder.mkdir(parents=True)
    (folder / "older.js").write_text("left from an earlier run")
    (folder / "notes.txt").write_text("not a script")
    write_explorer(study, folder)
    return folder


@pytest.fixture(scope="module")
def features(study: Study) -> dict[str, torch.Tensor]:
    """Variant -> (5, 64, 12, 16), L2-normalised, of all frames of the clip."""
    (clip,) = study.sequences("davis")
    found = {}
    for name in explorer.SOURCES:
        source = feature_source(study.source(name), stride=8, width=0.25)
        maps = torch.stack([source(resized(read_image(frame), 96)) for frame in clip.frames])
        found[name] = maps / maps.square().sum(1, keepdim=True).sqrt()
    return found


def read(path: Path) -> dict:
    name, content = json.loads(path.read_text().removeprefix("sttExplorer.put(").removesuffix(");\n").join("[]"))
    assert name == path.stem
    return content


def unpacked(text: str, kind: str, *shape: int) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), kind).reshape(shape)


def best_cell(maps: torch.Tensor, cell: int, t: int) -> tuple[int, float]:
    """The most similar cell of frame `t` and its share, of features (T, C, h, w)."""
    products = maps[t].flatten(1).T.double().numpy() @ maps[0].flatten(1)[:, cell].double().numpy()
    weights = np.exp(products / DAVIS["temperature"])
    return int(np.argmax(products)), float(weights.max() / weights.sum())


def centre(cell: int) -> tuple[float, float]:
    return (cell % 16) * CELL + 1.5, (cell // 16) * CELL + 1.5


def test_index_and_frames(written: Path, study: Study) -> None:
    files = {"index", "square", *(f"square--{name}" for name in explorer.SOURCES)}
    assert {path.stem for path in written.glob("*.js")} == files  # the older one is gone
    assert (written / "notes.txt").exists()
    assert max(path.stat().st_size for path in written.glob("*.js")) < 1_000_000
    index = read(written / "index.js")
    (clip,) = index["clips"]
    assert clip == {
        "name": "square",
        "size": [64, 48],
        "length": 5,
        "shown": [0, 1, 2, 3, 4],
        "start": 5 * 16 + 3,  # the square's middle, (15, 23), lies in row 5 and column 3
        "grid": [12, 16],
        "rows": list(range(12)),
        "columns": list(range(16)),
    }
    assert index["variants"] == [{"name": name, "title": title(name)} for name in explorer.SOURCES]
    assert index["temperature"] == DAVIS["temperature"]
    assert np.array(index["colours"]).shape == (64, 3)
    for text, path in zip(read(written / "square.js")["frames"], study.sequences("davis")[0].frames, strict=True):
        image = np.array(Image.open(io.BytesIO(base64.b64decode(text)))).astype(float)
        assert np.abs(image - read_image(path)).mean() < 5  # RGB, not BGR: orange on blue


def test_packed_features_give_the_cosines(written: Path, features: dict) -> None:
    for name in explorer.SOURCES:
        content = read(written / f"square--{name}.js")
        short = unpacked(content["features"], "i1", 32, 5, 12 * 16).astype(float) * content["scale"]
        full = features[name].flatten(2).movedim(0, 1).double().numpy()  # (C, T, cells), as the short ones
        for t in range(1, 5):
            cosines, packed = (maps[:, 0].T @ maps[:, t] for maps in (full, short))  # (points, cells) both
            assert np.abs(cosines - packed).mean() < 0.02


def test_most_similar_cells(written: Path, features: dict) -> None:
    content = read(written / "square--step_two.js")
    best = unpacked(content["best"], "<u2", 5, 12 * 16)
    share = unpacked(content["share"], "<u2", 5, 12 * 16) / 65535
    for cell in (0, 50, 84, 191):
        for t in range(5):
            assert (best[t, cell], share[t, cell]) == pytest.approx(best_cell(features["step_two"], cell, t), abs=2e-5)
    assert (best[0] == np.arange(12 * 16)).all()  # in its own frame it is itself


def test_tracks_of_one_point_alone(written: Path, features: dict) -> None:
    """As a joint of pose tracking, over all frames, by the library's own propagation."""
    tracks = unpacked(read(written / "square--full.js")["tracks"], "<u2", 5, 12 * 16, 2) / 10
    for cell in (0, 84, 100):
        joint = np.array([centre(cell)], np.float32)
        first = to_grid(keypoints_to_maps(joint, SIZE), GRID, "bilinear")
        maps = propagate(features["full"], first, num_preceding=2, radius=3, topk=10, temperature=0.2)
        assert tracks[0, cell].tolist() == list(centre(cell))
        for t in range(1, 5):
            assert tracks[t, cell] == pytest.approx(decode_keypoints(maps[t], SIZE)[0], abs=0.051)
    assert len(np.unique(tracks[4], axis=0)) > 50  # they differ


def test_a_lost_track_has_a_value_of_its_own(study: Study, features: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    tracks = np.zeros((5, 192, 2), np.float32)
    tracks[3, 7], tracks[3, 8] = -1, (63, 0.04)
    monkeypatch.setattr(explorer, "followed", lambda *_: (features["full"], tracks))
    content = explorer.seen_by(None, (), (), points_of(GRID), study.profile.evaluation.davis)
    kept = unpacked(content["tracks"], "<u2", 5, 192, 2)
    assert kept[3, 7].tolist() == [65535, 65535]
    assert kept[3, 8].tolist() == [630, 0]


def test_more_cells_leave_room_for_fewer_frames(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explorer, "FEATURES", 32 * 192 * 4)
    monkeypatch.setattr(explorer, "POINTS", 60)
    monkeypatch.setattr(explorer, "SOURCES", ("random",))
    write_explorer(study, tmp_path)
    (clip,) = read(tmp_path / "index.js")["clips"]
    assert clip["shown"] == [0, 1, 3, 4]
    assert (clip["rows"], clip["columns"]) == ([0, 2, 4, 6, 8, 10], [0, 2, 4, 6, 8, 10, 12, 14])
    content = read(tmp_path / "square--random.js")
    assert len(unpacked(content["features"], "i1", -1)) == 32 * 4 * 192  # of all cells
    assert len(unpacked(content["tracks"], "<u2", -1)) == 4 * 48 * 2


# The page, from the disk.

BEST = re.compile(
    r"Point at x\s(\d+), y\s(\d+) px(?:, held)?\. Frame (\d+), ([^:]+): tracked to x\s(\d+), y\s(\d+); "
    r"the most similar cell is at x\s(\d+), y\s(\d+) and has ([\d.]+) % of the affinity\."
)


@pytest.fixture
def opened(browser, written: Path, tmp_path: Path) -> Iterator[Callable]:
    """Opens a page with nothing but the explorer, whose data are a copy of `written`; nothing may go wrong in it."""
    shutil.copytree(written, tmp_path / "data of a run")
    for name in ("explorer.js", "explorer.css"):
        shutil.copy(STATIC / name, tmp_path)
    body = explorer.HTML.format(folder="data of a run/", script="explorer.js")
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Explorer</title>'
    style = '<link rel="stylesheet" href="explorer.css">'
    (tmp_path / "page.html").write_text(f'<!doctype html><html lang="en"><head>{head}{style}</head>{body}</html>')
    problems = []

    def open_page(ready: str = "Point", **options):
        page = browser.new_page(**options)
        page.on("console", lambda message: message.type in ("error", "warning") and problems.append(message.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda r: r.url.startswith(("file:", "data:")) or problems.append(r.url))
        page.goto((tmp_path / "page.html").as_uri())
        if ready:
            page.wait_for_function(f"document.getElementById('explorer-status').textContent.startsWith('{ready}')")
        return page

    open_page.problems = problems
    yield open_page
    assert problems == []


def told(page, **wanted) -> dict:
    """What the status line says, once it says all that is wanted."""
    for _ in range(100):
        if match := BEST.fullmatch(page.inner_text("#explorer-status")):
            x, y, frame, *track, best_x, best_y = map(int, match.group(1, 2, 3, 5, 6, 7, 8))
            said = {"point": (x, y), "frame": frame, "variant": match[4], "percent": float(match[9])}
            said |= {"track": tuple(track), "best": (best_x, best_y)}
            if said.items() >= wanted.items():
                return said
        page.wait_for_timeout(50)
    raise AssertionError(f"{page.inner_text('#explorer-status')} is not {wanted}")


def rounded(place) -> tuple[int, int]:
    return tuple(int(np.floor(value + 0.5)) for value in place)  # as Math.round


def place_on_page(page, cell: int) -> tuple[float, float]:
    box = page.locator("#explorer-first").bounding_box()
    return box["x"] + (cell % 16 + 0.5) / 16 * box["width"], box["y"] + (cell // 16 + 0.5) / 12 * box["height"]


def picture(page, name: str = "later") -> str:
    return page.evaluate(f"document.getElementById('explorer-{name}').toDataURL()")


def test_pointer_and_variant(opened: Callable, written: Path, features: dict) -> None:
    page = opened()
    told(page, point=rounded(centre(5 * 16 + 3)), frame=2, variant=title("full"))  # where it begins
    pictures = {picture(page)}
    for name in ("full", "random", "step_two"):
        script = page.locator(f"script[src$='square--{name}.js']")
        assert script.count() == (name == "full")  # nothing is loaded before it is asked for
        page.get_by_label(title(name)).check()
        told(page, variant=title(name))
        assert script.count() == 1
        tracks = unpacked(read(written / f"square--{name}.js")["tracks"], "<u2", 5, 192, 2) / 10
        for cell in (17, 84, 140):
            page.mouse.move(*place_on_page(page, cell))
            said = told(page, point=rounded(centre(cell)), frame=2, variant=title(name))
            best, share = best_cell(features[name], cell, 2)
            assert said["best"] == rounded(centre(best))
            assert said["percent"] == pytest.approx(100 * share, rel=0.06)  # two digits
            assert said["track"] == rounded(tracks[2, cell])
            assert picture(page) not in pictures
            pictures.add(picture(page))


def test_heat(opened: Callable, tmp_path: Path, features: dict) -> None:
    """On black frames the pixel of a cell's centre is the heat's colour times its opacity, and nothing else."""
    data, black = tmp_path / "data of a run", io.BytesIO()
    Image.new("RGB", (64, 48)).save(black, "JPEG")
    explorer.write_script(data / "square.js", {"frames": [base64.b64encode(black.getvalue()).decode()] * 5})
    page = opened()
    page.mouse.move(*place_on_page(page, 84))
    said = told(page, point=rounded(centre(84)))
    script = """() => { const c = document.getElementById("explorer-later");
        return [c.width, ...c.getContext("2d").getImageData(0, 0, c.width, c.height).data]; }"""
    width, *pixels = page.evaluate(script)
    centres = slice(width // 32, None, width // 16)
    pixels = np.array(pixels).reshape(-1, width, 4)[centres, centres, :3].reshape(-1, 3)
    cosines = features["full"][0].flatten(1)[:, 84] @ features["full"][2].flatten(1)
    heat = np.exp((cosines - cosines.max()).numpy() / DAVIS["temperature"])
    colours = np.array(read(data / "index.js")["colours"])
    expected = colours[(heat * 63).round().astype(int)] * (0.15 + 0.8 * heat[:, None])
    marks = np.array([said["track"], said["best"]])
    plain = [(np.abs(marks - centre(cell)).max(1) > CELL).all() for cell in range(192)]  # the others are under a mark
    assert np.abs(pixels - expected)[plain].mean() < 3
    assert expected[plain].std() > 10
    assert pixels[heat.argmax()].min() > 100  # inside its mark


def test_mouse_and_keys(opened: Callable) -> None:
    page = opened(viewport={"width": 800, "height": 300})
    page.mouse.click(*place_on_page(page, 40))
    told(page, point=rounded(centre(40)))
    page.mouse.move(*place_on_page(page, 60))  # the point is held
    page.get_by_role("button", name="Next").click()
    told(page, point=rounded(centre(40)), frame=3)
    page.locator("#explorer-first").focus()
    scrolled = page.evaluate("scrollY")
    x, y = rounded(centre(40))
    for key, step in (("ArrowRight", (4, 0)), ("ArrowDown", (0, 4)), ("ArrowLeft", (-4, 0)), ("ArrowUp", (0, -4))):
        page.keyboard.press(key)
        x, y = x + step[0], y + step[1]
        told(page, point=(x, y))
        assert page.evaluate("scrollY") == scrolled
    for _ in range(5):
        page.keyboard.press("Shift+ArrowLeft")
    told(page, point=(2, y))  # it stops at the border
    reached = set()
    for _ in range(6):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
    assert reached >= {"explorer-previous", "explorer-play", "explorer-next", "explorer-frame"}
    page.locator("#explorer-frame").focus()
    page.keyboard.press("ArrowRight")
    told(page, frame=4)
    assert page.get_attribute("#explorer-frame", "aria-valuetext") == "frame 4"


def test_steps_and_play(opened: Callable) -> None:
    page = opened()
    for name, frames in (("Next", (3, 4, 0, 1)), ("Previous", (0, 4))):
        for frame in frames:
            page.get_by_role("button", name=name).click()
            told(page, frame=frame)
    page.get_by_role("button", name="Play").click()
    assert page.get_attribute("#explorer-status", "aria-live") == "off"
    for frame in (0, 1):
        told(page, frame=frame)
    page.get_by_role("button", name="Pause").click()
    assert page.get_attribute("#explorer-status", "aria-live") == "polite"


def test_touch_on_a_phone(opened: Callable) -> None:
    page = opened(viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    # A finger on the first frame chooses, elsewhere it scrolls.
    for name, action in (("first", "none"), ("later", "auto")):
        assert page.evaluate(f"getComputedStyle(document.getElementById('explorer-{name}')).touchAction") == action
    page.touchscreen.tap(*place_on_page(page, 70))
    assert "held" not in page.inner_text("#explorer-status")
    told(page, point=rounded(centre(70)))


def test_a_missing_file_is_one_sentence(opened: Callable, tmp_path: Path) -> None:
    data = tmp_path / "data of a run"
    (data / "square--random.js").rename(tmp_path / "aside.js")
    page = opened()
    page.get_by_label(title("random")).check()
    page.get_by_text("The file square--random.js is missing or broken in data of a run/; run this page").wait_for()
    page.get_by_label(title("step_two")).check()
    told(page, variant=title("step_two"))
    (tmp_path / "aside.js").rename(data / "square--random.js")
    page.get_by_label(title("random")).check()
    told(page, variant=title("random"))
    (data / "index.js").unlink()
    page.reload()
    page.get_by_text("The file index.js is missing").wait_for()
    opened.problems.clear()  # the browser's own words about the missing files
