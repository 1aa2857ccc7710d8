"""Profiles: what a YAML file may say, and the sentence for what it may not."""

from pathlib import Path

import pytest
import yaml

from stt_core.errors import InputError
from stt_core.spatial import SpatialSettings
from stt_core.temporal import TemporalSettings
from stt_study.profile import PROFILES, Evaluation, load_profile

SHIPPED = sorted(path.stem for path in PROFILES.glob("*.yaml"))


def written(folder: Path, text: str) -> str:
    path = folder / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def with_settings(folder: Path, settings: object) -> str:
    return written(folder, yaml.safe_dump({"profile": "own", "settings": settings}))


def refusal(profile: str) -> str:
    with pytest.raises(InputError) as caught:
        load_profile(profile)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_profiles_load(name: str) -> None:
    profile = load_profile(name)
    assert profile.profile == name
    assert profile.description


def test_profiles_of_the_paper_have_its_values() -> None:
    """Stride 4 measures the same trainings; ResNet-50 has the paper's batch, rate and iterations (paper section 2)."""
    paper = load_profile("paper")
    assert (paper.temporal.depth, paper.temporal.width, paper.spatial.width) == (18, 1, 1)
    assert (paper.scratch_lr, paper.teacher, paper.max_gap, paper.carry_weights) == (1e-3, "rgb", 1, False)
    assert paper.evaluation == Evaluation()  # which `test_evaluate.py` compares with the paper's
    for name in ("paper", "paper_r50"):
        coarse, fine = load_profile(name), load_profile(f"{name}_s4")
        assert (coarse.spatial, coarse.temporal, coarse.teacher) == (fine.spatial, fine.temporal, fine.teacher)
        assert (coarse.published, coarse.scratch_lr) == (fine.published, fine.scratch_lr)
        assert (coarse.weights_of, fine.weights_of) == ("", name)
        assert (coarse.evaluation.stride, fine.evaluation.stride) == (8, 4)
        ranges = {task: getattr(fine.evaluation, task).radius for task in ("davis", "vip", "jhmdb")}
        assert ranges == {"davis": 70 // 2, "vip": 70 // 2, "jhmdb": 24 // 2}
    small, large = load_profile("paper").temporal, load_profile("paper_r50").temporal
    assert (small.batch, small.steps, small.lr) == (4 * 32, 90_000, 1e-4)
    assert (large.batch, large.steps, large.lr) == (4 * 16, 45_000, 5e-5)
    assert small.warmup == pytest.approx(90_000 * 20 / 3_200, abs=5)
    assert large.warmup == 45_000 * 20 / 800
    for settings in (small, large):
        assert (settings.size, settings.radius_fine, settings.radius_coarse) == (256, 12, 6)
        assert (settings.weight_local, settings.weight_global, settings.local.share) == (1000, 50, 0.7)


def test_nested_overrides_change_only_what_they_name(tmp_path: Path) -> None:
    own = with_settings(tmp_path, {"max_gap": 3, "temporal": {"batch": 4, "lr": 0.5, "local": {"share": 0.2}}})
    profile = load_profile(own, {"temporal": {"lr": 0.25, "local": {"score": "neg_log"}}, "data": "x"})
    assert (profile.profile, profile.data, profile.max_gap) == ("own", "x", 3)
    assert (profile.temporal.batch, profile.temporal.lr) == (4, 0.25)
    assert (profile.temporal.local.share, profile.temporal.local.score) == (0.2, "neg_log")
    assert profile.temporal.steps == TemporalSettings().steps
    assert profile.spatial == SpatialSettings()
    evaluation = {"davis": {"resize": 96}, "vip": {"resize": [96, 128]}, "real": {"resize": None}}
    profile = load_profile(with_settings(tmp_path, {"evaluation": evaluation, "folders": {"images": ["a", "b"]}}))
    sizes = [getattr(profile.evaluation, task).resize for task in evaluation]
    assert (sizes, profile.folders.images) == ([96, (96, 128), None], ("a", "b"))
    hash(profile)  # no list anywhere


def test_yaml_1e_3_is_a_number(tmp_path: Path) -> None:
    text = "profile: own\nsettings: {scratch_lr: 1e-3, rates: [1e-4, 3e-4, 1], temporal: {lr: 5e-5, steps: 10.0}}\n"
    assert yaml.safe_load("1e-3") == "1e-3"  # what YAML 1.1 makes of it
    profile = load_profile(written(tmp_path, text))
    assert profile.scratch_lr == 0.001
    assert profile.temporal.lr == 5e-5
    assert profile.rates == (1e-4, 3e-4, 1.0)
    assert all(isinstance(rate, float) for rate in (profile.scratch_lr, profile.temporal.lr, *profile.rates))
    assert isinstance(profile.temporal.steps, int)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"- a\n- b\n",
        b"profile: own\n",
        b"profile: own\nsettings: {}\nlr: 3\n",
        b"profile: own\nsettings: {lr: 3}\n",
        b"profile: {own: [\n",
        b"profile: \xff\xfe\x00",
    ],
)
def test_files_that_are_no_profile(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "own.yaml").write_bytes(content)
    assert "own.yaml" in refusal(str(tmp_path / "own.yaml"))


def test_unknown_profile_names_the_known(tmp_path: Path) -> None:
    message = refusal("laptpo")
    assert "laptpo" in message
    assert all(name in message for name in {*SHIPPED, "laptop", "smoke", "open", "paper"})
    assert "none.yaml" in refusal(str(tmp_path / "none.yaml"))


def test_a_profile_of_settings_alone() -> None:
    """What papermill passes for a profile that has no file here."""
    settings = {"data": "d", "spatial": {"steps": 5}}
    profile = load_profile("unheard-of", settings)
    assert (profile.profile, profile.data, profile.spatial.steps) == ("unheard-of", "d", 5)
    assert profile.temporal == TemporalSettings()
    assert settings == {"data": "d", "spatial": {"steps": 5}}
