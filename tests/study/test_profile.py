"""Profiles: what a YAML file may say, and the sentence for what it may not."""

from pathlib import Path

import pytest
import yaml

from stt_core.errors import InputError
from stt_core.spatial import SpatialSettings
from stt_core.temporal import TemporalSettings
from stt_study.profile import PROFILES, load_profile

SHIPPED = sorted(path.stem for path in PROFILES.glob("*.yaml"))


def written(folder: Path, text: str) -> str:
    path = folder / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def with_settings(folder: Path, settings: object) -> str:
    return written(folder, yaml.safe_dump({"profile": "own", "settings": settings}))


def refusal(profile: str, settings: dict | None = None) -> str:
    with pytest.raises(InputError) as caught:
        load_profile(profile, settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_profiles_load(name: str) -> None:
    profile = load_profile(name)
    assert profile.profile == name
    assert profile.description


def test_there_are_the_profiles_that_the_text_names() -> None:
    assert {"laptop", "smoke", "open", "paper"} <= set(SHIPPED)


def test_paper_profile_has_the_papers_values() -> None:
    paper = load_profile("paper")
    assert (paper.temporal.size, paper.temporal.radius_fine, paper.temporal.radius_coarse) == (256, 12, 6)
    assert (paper.temporal.weight_local, paper.temporal.weight_global) == (1000, 50)
    assert (paper.temporal.lr, paper.temporal.batch, paper.temporal.steps) == (1e-4, 4 * 32, 90_000)
    assert (paper.temporal.depth, paper.temporal.width, paper.spatial.width) == (18, 1, 1)
    assert paper.temporal.local.share == 0.7
    assert not paper.carry_weights
    assert (paper.scratch_lr, paper.teacher, paper.max_gap) == (1e-3, "rgb", 1)
    davis = paper.evaluation.davis
    assert (davis.resize, davis.radius, davis.num_preceding, davis.topk, davis.temperature) == (480, 12, 20, 10, 0.07)
    assert (paper.evaluation.vip.resize, paper.evaluation.vip.radius) == ((560, 560), 16)
    assert (paper.evaluation.jhmdb.resize, paper.evaluation.jhmdb.radius) == ((320, 320), 5)


def test_nested_overrides_change_only_what_they_name(tmp_path: Path) -> None:
    own = with_settings(tmp_path, {"max_gap": 3, "temporal": {"batch": 4, "lr": 0.5, "local": {"share": 0.2}}})
    profile = load_profile(own, {"temporal": {"lr": 0.25, "local": {"score": "neg_log"}}, "data": "x"})
    assert (profile.profile, profile.data, profile.max_gap) == ("own", "x", 3)
    assert (profile.temporal.batch, profile.temporal.lr) == (4, 0.25)
    assert (profile.temporal.local.share, profile.temporal.local.score) == (0.2, "neg_log")
    assert profile.temporal.steps == TemporalSettings().steps
    assert profile.spatial == SpatialSettings()


def test_yaml_1e_3_is_a_number(tmp_path: Path) -> None:
    text = "profile: own\nsettings: {scratch_lr: 1e-3, rates: [1e-4, 3e-4, 1], temporal: {lr: 5e-5, steps: 10.0}}\n"
    assert yaml.safe_load("1e-3") == "1e-3"  # what YAML 1.1 makes of it
    profile = load_profile(written(tmp_path, text))
    assert profile.scratch_lr == 0.001
    assert profile.temporal.lr == 5e-5
    assert profile.rates == (1e-4, 3e-4, 1.0)
    assert all(isinstance(rate, float) for rate in (profile.scratch_lr, profile.temporal.lr, *profile.rates))
    assert isinstance(profile.temporal.steps, int)


def test_sizes_and_lists(tmp_path: Path) -> None:
    evaluation = {"davis": {"resize": 96}, "vip": {"resize": [96, 128]}, "real": {"resize": None}}
    profile = load_profile(with_settings(tmp_path, {"evaluation": evaluation, "folders": {"images": ["a", "b"]}}))
    assert profile.evaluation.davis.resize == 96
    assert profile.evaluation.vip.resize == (96, 128)
    assert profile.evaluation.real.resize is None
    assert profile.folders.images == ("a", "b")
    hash(profile)  # no list anywhere


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"lr": 1}, "unknown field lr;"),
        ({"temporal": {"local": {"T": 0.7}}}, "unknown field temporal.local.T;"),
        ({"evaluation": {"davis": {"neighbour": 1}}}, "unknown field evaluation.davis.neighbour;"),
        ({"temporal": {"steps": 3.5}}, "temporal.steps"),
        ({"temporal": None}, "temporal"),
        ({"carry_weights": "perhaps"}, "carry_weights"),
        ({"folders": {"images": "imagenet"}}, "folders.images"),
        ({"rates": ["fast"]}, "rates"),
        ({"evaluation": {"davis": {"resize": [320]}}}, "evaluation.davis.resize"),
        ({"aspect": [1.5]}, "aspect"),
    ],
)
def test_unknown_field_or_wrong_value(tmp_path: Path, settings: dict, named: str) -> None:
    message = refusal(with_settings(tmp_path, settings))
    assert named in message
    assert "own.yaml" in message
    assert named in refusal("laptop", settings)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"- a\n- b\n",
        b"profile: own\n",
        b"profile: own\nsettings: {}\nlr: 3\n",
        b"profile: own\nsettings: [1, 2]\n",
        b"profile: [own]\nsettings: {}\n",
        b"profile: {own: [\n",
        b"profile: own\nsettings: {1: 2}\n",
        b"profile: \xff\xfe\x00",
    ],
)
def test_files_that_are_no_profile(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "own.yaml").write_bytes(content)
    assert "own.yaml" in refusal(str(tmp_path / "own.yaml"))


def test_unknown_profile_names_the_known(tmp_path: Path) -> None:
    message = refusal("laptpo")
    assert "laptpo" in message
    assert all(name in message for name in SHIPPED)
    assert "none.yaml" in refusal(str(tmp_path / "none.yaml"))


def test_a_profile_of_settings_alone() -> None:
    """What papermill passes for a profile that has no file here."""
    settings = {"data": "d", "spatial": {"steps": 5}}
    profile = load_profile("unheard-of", settings)
    assert (profile.profile, profile.data, profile.spatial.steps) == ("unheard-of", "d", 5)
    assert profile.temporal == TemporalSettings()
    assert settings == {"data": "d", "spatial": {"steps": 5}}
