"""A study makes what is missing, once; what it is made of decides where it lies."""

import shutil
import threading
import time
from functools import wraps
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from stt_core.checkpoints import open_weights, save_weights
from stt_core.encoder import random_encoder
from stt_core.errors import InputError
from stt_core.files import read_json, write_json
from stt_core.losses import LocalDistillation
from stt_core.training.pairs import FramePairs
from stt_core.training.train_spatial import train_spatial
from stt_study import store, trainings
from stt_study.balance import carried_weights
from stt_study.benchmarks.registry import PRESETS
from stt_study.parameters import merged
from stt_study.profile import load_profile
from stt_study.results import comparison, report
from stt_study.study import Study
from stt_study.variants import BASELINES, VARIANTS, title, variant_settings
from stt_study.world.oracle import OraclePairs

SETTINGS = {
    "spatial": {"width": 0.125, "size": 32, "load_size": 40, "batch": 2, "steps": 2, "queue": 5, "lr": 1e-3},
    "temporal": {"width": 0.125, "size": 64, "batch": 2, "steps": 2, "weight_local": 1000.0, "weight_global": 50.0},
    "scratch_lr": 0.5,
    "real": ["nowhere/at/all"],
    "supervised": ["nowhere/at/all.pth"],
}


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
    """Trainers that note how they were called and write a file of their own each time."""
    calls = []

    def stub(step: str):
        @wraps(getattr(trainings, f"train_{step}"))
        def train(settings, *data_and_out, **how) -> Path:
            out = data_and_out[-1]
            calls.append((step, settings, how))
            out.mkdir(parents=True, exist_ok=True)
            (out / "weights.pth").write_text(f"{step} {settings} {sorted(how.items())}")
            return out / "weights.pth"

        return train

    for step in ("spatial", "temporal", "one_stage"):
        monkeypatch.setattr(trainings, f"train_{step}", stub(step))
    monkeypatch.setattr(trainings, "forget_weight", lambda settings, pairs, initial, weight_global: weight_global / 5)
    return calls


@pytest.fixture
def make(data_folder: Path, tmp_path: Path):
    def make(seed: int = 0, data: Path = data_folder, **settings) -> Study:
        return Study(
            "tiny", seed=seed, data=str(data), runs=str(tmp_path / "runs"), settings=merged(SETTINGS, settings)
        )

    return make


def test_nothing_is_trained_twice(make, trained: list) -> None:
    first = make().weights("full")
    assert [call[0] for call in trained] == ["spatial", "temporal"]
    assert make().weights("full") == first
    assert make().spatial() == make().weights("step_one") == make().teacher
    assert len(trained) == 2
    make().weights("no_local")  # another step two from the same step one
    assert [call[0] for call in trained] == ["spatial", "temporal", "temporal"]


def test_what_the_trainers_are_given(make, trained: list) -> None:
    it = make(seed=7)
    path = it.weights("full")
    (_, spatial, _), (_, temporal, how) = trained
    assert (spatial.seed, spatial.input, spatial.steps, spatial.queue) == (7, "lab", 2, 5)
    assert (temporal.seed, temporal.steps, temporal.size) == (7, 2, 64)
    starts = {"initial": it.spatial(), "teacher": it.spatial()}
    assert how == {**starts, "scale": it.profile.scale, "origin": {"videos": it.fingerprint("videos")}}
    assert path.parent.parent == it.out / "weights"
    assert path.parent.name.startswith("full-seed7-")
    assert it.spatial().parent.name.startswith("step-one-lab-seed7-")


def test_the_first_of_a_profile_s_folders_that_is_there_is_taken(make, data_folder: Path) -> None:
    study = make(folders={"vip": ["nowhere", "davis", "."], "jhmdb": ["no", "none"]})
    assert study.folder("vip") == data_folder / "davis"
    with pytest.raises(InputError, match=r"has no jhmdb folder; it should be called no or none\."):
        study.folder("jhmdb")


def test_tables_take_from_the_reference_what_is_not_of_this_run(make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of tasks whose data are at hand: here DAVIS, but no parts, although the reference has them."""
    runs = [
        comparison.Outcome("neither", seed, comparison.STORED, {"J&F-Mean": score}, {}, {}, {}, path="neither.json")
        for seed, score in enumerate((0.5, 0.6))
    ]
    monkeypatch.setattr(comparison, "stored", lambda study, task, name: runs * ((task, name) == ("davis", "neither")))
    it = make(evaluation={"davis": {"resize": 40, "radius": 3}})
    rows = report.benchmark_rows(it, ["neither", "copy", "lab", "random"])
    assert set(rows.source[rows.method != "no distillation"]) == {comparison.OWN}
    (row,) = rows[rows.method == "no distillation"].to_dict(orient="records")
    assert (row["benchmark"], row["source"], row["file"]) == ("DAVIS-2017", comparison.STORED, "neither.json")
    assert row["value"] == pytest.approx(55)
    backbones = rows[rows.source == comparison.OWN].groupby("method").backbone.unique().map(list).to_dict()
    assert backbones == {"first label copied": [""], "Lab image": [""], "random weights": ["ResNet-18 x0.125"]}


def test_weights_of_another_precision_are_others(make, trained: list, monkeypatch: pytest.MonkeyPatch) -> None:
    """What "auto" is here is in the weights' key and record, but not in what makes reference results comparable."""
    auto, found = {"spatial": {"precision": "auto"}, "temporal": {"precision": "auto"}}, {}
    for units, precision in ((True, "bf16-mixed"), (False, "32-true")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda units=units: {"amx_bf16": units})
        it = make(**auto, scale={"device": "cpu"})
        found[precision] = it.weights("full"), comparison.settings_hash(it, "full")
        assert {settings.precision for _, settings, _ in trained[-2:]} == {precision}
    (first, same), (other, hashed) = found.values()
    assert first != other
    assert same == hashed


def test_published_weights_take_step_ones_place(make, trained: list, tmp_path: Path) -> None:
    """A student in MoCo's naming whose file doesn't say its colours, and a deeper teacher."""
    student, teacher = tmp_path / "moco.pth", tmp_path / "detco.pth"
    state = {f"module.encoder_q.{name}": value for name, value in random_encoder(18, 0.125).state_dict().items()}
    torch.save({"state_dict": state}, student)
    save_weights(teacher, random_encoder(50, 0.125, seed=1), input="rgb")
    it = make(published={"student": str(student), "teacher": str(teacher)})
    it.weights("full")
    assert [call[0] for call in trained] == ["temporal"]
    how = trained[0][2]
    assert how["initial"] == it.spatial() == it.weights("step_one")
    start, frozen = (open_weights(how[role]) for role in ("initial", "teacher"))
    assert (start.depth, start.input, start.assumed) == (18, "lab", False)
    assert (frozen.depth, frozen.input) == (50, "rgb")
    for name, value in random_encoder(18, 0.125).state_dict().items():
        assert torch.equal(start.state[name], value)
    assert "module.encoder_q" in read_json(how["initial"].with_name("run.json"))["found"]
    deeper = make(published={"student": str(teacher), "student_input": "rgb"})
    with pytest.raises(InputError, match=r"detco\.pth is a ResNet-50 .*ResNet-18"):
        deeper.spatial()
    with pytest.raises(InputError, match=r"gone\.pth: no such weights file"):
        make(published={"student": str(tmp_path / "gone.pth")}).spatial()


def test_another_measurement_of_the_same_weights(make, trained: list, tmp_path: Path) -> None:
    first = make().weights("full")
    assert first.is_relative_to(tmp_path / "runs/tiny/weights")
    other = Study(
        "finer", data=make().profile.data, runs=str(tmp_path / "runs"), settings={**SETTINGS, "weights_of": "tiny"}
    )
    assert other.weights("full") == first
    assert other.out == tmp_path / "runs/finer"
    assert len(trained) == 2


@pytest.mark.parametrize(
    ("variant", "weight_local", "distilled", "scratch", "local"),
    [
        ("full", 1000, 50, False, LocalDistillation()),
        ("no_global", 1000, 0, False, LocalDistillation()),
        ("no_local", 0, 50, False, LocalDistillation()),
        ("quarter", 1000, 50, False, LocalDistillation(target_rows="quarter")),
        ("neg_log", 1000, 50, False, LocalDistillation(score="neg_log")),
        ("rows", 1000, 50, False, LocalDistillation(selection="rows")),
        ("soft", 1000, 50, False, LocalDistillation(soft=True)),
        ("released", 1000, 50, False, LocalDistillation.released()),
        ("step_two", 1000, 0, True, LocalDistillation()),
        ("share_0.4", 1000, 0, True, LocalDistillation(share=0.4)),
        ("one_level", 0, 0, True, LocalDistillation()),
    ],
)
def test_variants(
    make, trained: list, variant: str, weight_local: float, distilled: float, scratch: bool, local: LocalDistillation
) -> None:
    it = make()
    it.weights(variant)
    settings, how = trained[-1][1:]
    assert (settings.weight_local, settings.weight_global) == (weight_local, distilled)
    assert (settings.weight_fine, settings.weight_coarse, settings.weight_forget) == (variant != "one_level", 1, 0)
    assert settings.local == local
    assert settings.lr == (0.5 if scratch else it.profile.temporal.lr)
    assert (how["initial"] is None) == scratch
    assert (how["teacher"] is None) == (distilled == 0)
    if scratch:
        assert [call[0] for call in trained] == ["temporal"]  # no step one for what needs none


def test_every_teacher(make, trained: list, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of the teacher, what pairs come with, and the weight of the distillation."""
    it, kinds, train = make(), [], trainings.train_temporal

    def noting(settings, pairs, *out, **how) -> Path:
        kinds.append(type(pairs))
        return train(settings, pairs, *out, **how)

    monkeypatch.setattr(trainings, "train_temporal", noting)
    expected = {"step_one": it.spatial(), "step_one_cosine": it.spatial(), "oracle": it.spatial()}
    expected |= {"longer": it.spatial(steps=8), "untrained": it.teacher_of("teacher_untrained")}
    assert len({*expected.values()}) == 3
    for name, teacher in expected.items():
        for ending, weight in (("", 50), ("_quarter", 12.5)):
            it.weights(f"teacher_{name}{ending}")
            settings, how = trained[-1][1:]
            assert (how["initial"], how["teacher"]) == (it.spatial(), teacher)
            assert (settings.weight_global, settings.teacher_cosine) == (weight, name == "step_one_cosine")
            assert kinds[-1] is (OraclePairs if name == "oracle" else FramePairs)
    it.weights("teacher_none")
    assert (trained[-1][1].weight_global, trained[-1][2]["teacher"]) == (0, None)
    state, read = random_encoder(18, 0.125, 0).state_dict(), open_weights(expected["untrained"])
    assert read.input == "lab"
    assert all(torch.equal(value, read.state[name]) for name, value in state.items())


def test_what_the_world_has_is_known_before_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainings.synthetic, "write_world", None)
    it = Study("laptop")
    assert it.has("davis")
    assert it.data_name("vip") == "shipped world in the layout of VIP"


def test_learning_without_forgetting_takes_the_global_losss_place(make, trained: list) -> None:
    it = make(teacher="rgb")
    it.weights("forget")
    settings, how = trained[-1][1:]
    assert (settings.weight_local, settings.weight_global, settings.weight_forget) == (1000, 0, 10)
    assert (how["initial"], how["teacher"]) == (it.spatial("lab"), it.spatial("lab"))  # the student can't read RGB
    it.weights("full")
    how = trained[-1][2]
    assert (how["initial"], how["teacher"]) == (it.spatial("lab"), it.spatial("rgb"))
    assert it.spatial("lab") != it.spatial("rgb")
    assert [settings.input for step, settings, _ in trained if step == "spatial"] == ["lab", "rgb"]


def test_both_steps_at_once(make, trained: list) -> None:
    it = make(seed=4, spatial={"steps": 9})
    it.weights("one_stage")
    ((step, settings, _),) = trained  # no step one before it
    assert (step, settings.steps, settings.lr, settings.seed) == ("one_stage", 9, 0.5, 4)
    assert (settings.spatial.seed, settings.spatial.steps, settings.spatial.input) == (4, 9, "lab")
    assert (settings.weight_local, settings.weight_global) == (1000, 0)


def test_every_variant_has_its_own_weights(make, trained: list) -> None:
    it = make()
    paths = {name: it.weights(name) for name in VARIANTS}
    assert len(set(paths.values())) == len(VARIANTS)
    assert len({title(name) for name in [*VARIANTS, *BASELINES]}) == len(VARIANTS) + len(BASELINES)


def test_carried_weights_go_into_every_variant_in_proportion() -> None:
    carried = {"local": 10.0, "global": 5.0}
    tiny = load_profile("tiny", {"temporal": {"steps": 2}})
    half = load_profile("tiny", {"temporal": {"weight_local": 500.0, "weight_global": 0.0}})
    found = variant_settings(half, "full", 0, carried)
    assert (found.weight_local, found.weight_global) == pytest.approx((5, 0))
    assert variant_settings(tiny, "full", 0, carried, weight_local=3.0).weight_local == 3
    assert variant_settings(tiny, "full", 0, None).weight_local == 1000


def test_balance_is_measured_once_and_used(make, trained: list, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []

    def carried(settings, pairs, initial, teacher) -> dict:
        measured.append((settings.size, pairs(32).size, initial, teacher))
        return {"weights": {"local": 10.0, "global": 5.0}}

    monkeypatch.setattr(trainings, "carried_weights", wraps(carried_weights)(carried))
    it = make(carry_weights=True)
    for variant in ("full", "no_global", "full"):
        it.weights(variant)
    assert measured == [(64, 32, it.spatial(), it.spatial())]
    full, no_global = (settings for step, settings, _ in trained if step == "temporal")
    assert (full.weight_local, full.weight_global) == pytest.approx((10, 5))
    assert (no_global.weight_local, no_global.weight_global) == pytest.approx((10, 0))
    make(carry_weights=True).weights("full")
    assert len(measured) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"temporal": {"lr": 0.125}},
        {"temporal": {"local": {"share": 0.5}}},
        {"spatial": {"temperature": 0.5}},  # step two depends on step one's weights
        {"max_gap": 2},
        {"min_gap": 2, "max_gap": 2},
        {"aspect": [1.0, 1.5]},
    ],
)
def test_a_change_trains_anew(make, trained: list, changes: dict) -> None:
    before = make().weights("full")
    after = make(**changes).weights("full")
    assert before != after
    assert before.exists()
    assert after.exists()


@pytest.mark.parametrize("changes", [{"evaluation": {"stride": 4}}, {"description": "other"}, {"rates": [0.1]}])
def test_what_no_training_depends_on_trains_nothing(make, trained: list, changes: dict) -> None:
    before = make().weights("full")
    count = len(trained)
    assert make(**changes).weights("full") == before
    assert len(trained) == count


def test_changed_data_and_code_train_anew(
    make, trained: list, data_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "data"
    shutil.copytree(data_folder, data)
    first = make(data=data)
    spatial, full = first.spatial(), first.weights("full")
    assert (spatial, full) == (make().spatial(), make().weights("full"))  # the same data elsewhere
    (data / "youtube-vos" / "video0" / "00003.jpg").unlink()
    assert make(data=data).spatial() == spatial
    assert make(data=data).weights("full") != full
    (data / "imagenet" / "train" / "class0" / "0.JPEG").unlink()
    assert make(data=data).spatial() != spatial
    monkeypatch.setattr(store, "code_fingerprint", lambda *modules: f"other {modules}")
    assert make().spatial() != spatial


def test_two_at_once_train_once(make, trained: list, monkeypatch: pytest.MonkeyPatch) -> None:
    train = trainings.train_spatial

    def slow(*arguments, **keywords) -> Path:
        time.sleep(0.3)
        return train(*arguments, **keywords)

    monkeypatch.setattr(trainings, "train_spatial", wraps(train)(slow))
    paths = []
    threads = [threading.Thread(target=lambda: paths.append(make().spatial())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 4
    assert len(set(paths)) == 1
    assert len(trained) == 1


def test_a_training_that_fails_leaves_nothing(make, trained: list, monkeypatch: pytest.MonkeyPatch) -> None:
    @wraps(train_spatial)
    def failing(*_, **__) -> None:
        raise InputError("the loss is nan")

    with monkeypatch.context() as patch:
        patch.setattr(trainings, "train_spatial", failing)
        with pytest.raises(InputError, match="nan"):
            make().spatial()
    assert make().spatial().exists()
    assert len(trained) == 1


def test_has(make, tmp_path: Path) -> None:
    it = make()
    assert [it.has(kind) for kind in ("images", "videos", "davis")] == [True] * 3
    assert [it.has(kind) for kind in ("vip", "jhmdb", "badja", "real")] == [False] * 4
    with pytest.raises(InputError, match="vip"):
        it.folder("vip")
    assert it.results("vip", ["lab"]) == {}
    assert not make(folders={"davis": ["none"]}).has("davis")
    missing = make(data=tmp_path / "nowhere")
    assert not missing.has("davis")
    with pytest.raises(InputError, match="nowhere"):
        missing.spatial()


def test_measured_once(make, trained: list, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def evaluate(benchmark, source, root: Path, out: Path, inference, split: str) -> dict:
        calls.append((source.weights, source.stride, root.name, inference, split))
        write_json(out / "results.json", {"metrics": {"J&F-Mean": 0.5}, "call": len(calls)})
        return {}

    monkeypatch.setattr("stt_study.benchmarks.run.evaluate", evaluate)
    it = make(evaluation={"davis": {"resize": 48, "radius": 3}})
    first = it.measure("davis", "lab")
    assert first["metrics"] == {"J&F-Mean": 0.5}
    assert Path(first["path"]).parent.name.startswith("davis-val-lab-")
    assert it.measure("davis", "lab") == first
    assert len(calls) == 1
    source, stride, root, inference, split = calls[0]
    assert (source, stride, root, inference.resize, inference.radius, split) == ("lab", 8, "davis", 48, 3, "val")
    others = [
        it.measure("davis", "lab", "train"),
        it.measure("davis", "random"),
        make(evaluation={"davis": {"resize": 48, "radius": 4}}).measure("davis", "lab"),
        make(evaluation={"davis": {"resize": 48, "radius": 3}, "stride": 4}).measure("davis", "lab"),
        it.measure("davis", "lab", inference=PRESETS["davis_vfs"]),
        it.measure("davis", "copy"),
    ]
    assert len({result["path"] for result in [first, *others]}) == 7
    assert calls[-2][3] == PRESETS["davis_vfs"]
    assert list(it.results("davis", ["lab", "random", "supervised"])) == ["Lab image", "random weights"]
    assert len(calls) == 7


def test_real_video_at_stride_4_is_measured_of_those_the_profile_names(make) -> None:
    it = make(fine=["lab"], evaluation={"davis": {"resize": 40, "radius": 3}})
    assert (it.tasks("lab"), it.tasks("copy")) == (["davis", "fine"], ["davis"])
    assert it.data_name("fine") == "1 of 30 sequences of DAVIS-2017 (objects: 1), resized to 40, stride 4"
    results = it.results("fine", ["lab", "copy"])
    (result,) = results.values()
    assert (result["settings"]["stride"], result["settings"]["radius"]) == (4, 6)  # the same in px
    table = report.strides(it).set_index("method")
    assert table.index.tolist() == ["Lab image"]
    coarse = it.measure("davis", "lab")["metrics"]["J&F-Mean"]
    own = table.loc["Lab image"]
    assert (own["stride 8"], own["stride 4"]) == pytest.approx((100 * coarse, 100 * result["metrics"]["J&F-Mean"]))
    assert own.difference == pytest.approx(own["stride 4"] - own["stride 8"])
    rows = report.benchmark_rows(it, ["lab", "copy"])
    assert set(rows.stride[rows.method == "Lab image"]) == {"8", "4"}
    assert not Study("tiny", settings={**SETTINGS, "fine": ["lab"]}).has("fine")  # without real video
    with pytest.raises(InputError, match="fine names labs"):
        make(fine=["labs"])


def test_supervised_weights_join_where_they_are(make, tmp_path: Path) -> None:
    it = make(supervised=[str(tmp_path / "resnet18*.pth")])
    assert it.supervised is None
    encoder = random_encoder(18, 0.125, 0)
    torch.save(encoder.state_dict() | {"fc.weight": torch.zeros(1)}, tmp_path / "resnet18-abc.pth")
    results = it.results("davis", ["copy", "supervised"])
    assert list(results) == ["first label copied", "supervised (torchvision)"]
    result = results["supervised (torchvision)"]
    assert result["weights"]["identity"].endswith("-rgb")
    assert Path(result["path"]).parent.name.startswith("davis-val-resnet18-abc-")


def test_what_was_measured_is_named(make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    it = make()
    assert it.data_name("davis") == "1 of 30 sequences of DAVIS-2017 (objects: 1), resized to 480"
    assert it.data_name("images") == "8 images of imagenet"
    (name,) = {sequence.name for sequence in it.sequences("davis")}
    monkeypatch.setattr(type(it), "trained_on", {name, "another"})
    assert it.data_name("davis") == (
        "1 of 30 sequences of DAVIS-2017 (objects: 1) (1 of them training videos, too), resized to 480"
    )
    monkeypatch.undo()
    other = tmp_path / "other"  # data of another kind in VIP's layout must not pass for VIP
    for name, expected in (("VIP_Fine", "3 of 50 sequences of VIP"), ("vip-camvid", "3 sequences of CamVid (not VIP,")):
        folder = make(data=other, folders={"vip": [name]})
        (other / name).mkdir(parents=True)
        monkeypatch.setattr(folder, "sequences", lambda task: [SimpleNamespace(name=name) for name in "abc"])
        assert folder.data_name("vip").startswith(expected)
