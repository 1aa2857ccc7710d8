"""The weights that come with the package, out of a run, and their model card, `results/weights/README.md`.

python -m stt_study.results.shipped --profile shipped    # trains what is missing
"""

import hashlib
from pathlib import Path

import numpy as np
import tyro

from stt_core.checkpoints import open_weights, save_weights
from stt_core.encoder import STANDARD
from stt_core.files import read_json, write_text
from stt_core.provenance import short
from stt_study.benchmarks.registry import TASKS
from stt_study.bootstrap import bootstrap
from stt_study.exit_codes import one_sentence
from stt_study.results.comparison import condensed
from stt_study.study import Study
from stt_study.trainings import ROOT
from stt_study.variants import title

NAMES = ("full", "step_two", "step_one")
FOLDER = ROOT / "results" / "weights"
CARD = """# Model card

Three encoders of the study, ready to use: `--weights full` on the command line, `stt_core.pretrained("full")` in
Python. ResNet-{depth}s of width {width:g} for CIE Lab images, in float16. This page and the files beside it are made by

    python -m stt_study.results.shipped --profile {profile} --seed {seed}

| file | what it is | its own step, minutes | SHA-256 |
|---|---|---|---|
{files}

**Trained on** the shipped world alone: {images} images and {videos} videos without labels, which `stt_study/world`
renders from noise and from photographs of scikit-image (`data/README.md` names them and their terms). Seed {seed};
step one took {one} steps, step two {two}. All settings, and why step two takes so many steps, stand in
`notebooks/profiles/{profile}.yaml`. Trained at {commits}.

**Measured** on these files, in percent, with 95 % intervals over sequences, which do not cover the choice of the seed
(vip's are of the mean over videos, while the figure pools their pixels):

| | {tasks} |
|---|{rules}
{rows}

{data}

**Not meant for** decisions about people, and not the published models: those are larger, trained for days on ImageNet
and YouTube-VOS, and better. These have seen nothing but crops of at most {size} px of a made world.
"""


def write(study: Study, out: Path = FOLDER) -> None:
    """Write `<name>.safetensors` of `NAMES` in float16, and the model card, whose figures are of these very files."""
    tasks = [task for task in TASKS if study.has(task) and task != "fine"]
    files, rows, commits = [], [], set()
    for name in NAMES:
        trained, path = study.weights(name), out / f"{name}.safetensors"
        save_weights(path, open_weights(trained).encoder(*STANDARD).half(), input="lab")
        sessions = read_json(trained.with_name("run.json"))["sessions"]
        commits |= {f"commit {short(one['commit'])}, {one['machine']['processor']}" for one in sessions}
        minutes = read_json(trained.with_name("seconds.json"))["seconds"] / 60
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        files.append(f"| `{path.name}` | {title(name)} | {minutes:.0f} | `{digest}` |")
        rows.append(_row(study, tasks, f"`{name}`", str(path)))
    rows.append(_row(study, tasks, "the Lab image itself", "lab"))
    data = [f"{task}: {TASKS[task].headline}, {study.data_name(task)}" for task in tasks]
    world, profile = study.profile.world, study.profile
    card = CARD.format(
        files="\n".join(files), images=world.images, videos=world.train_videos, seed=study.seed,
        commits=" and ".join(sorted(commits)), one=profile.spatial.steps, two=profile.temporal.steps,
        profile=profile.profile, size=profile.temporal.size, depth=profile.spatial.depth,
        width=profile.spatial.width, tasks=" | ".join(tasks), rules="---|" * len(tasks),
        rows="\n".join(rows), data="; ".join(data) + ".",
    )  # fmt: skip
    write_text(out / "README.md", card)


def _row(study: Study, tasks: list[str], name: str, weights: str) -> str:
    cells = []
    for task in tasks:
        results = study.measure(task, weights)
        kept = condensed(results)
        scores = 100 * np.array([list(kept["sequences"].values())])
        low, high, _ = bootstrap(scores, np.array(list(kept["weights"].values()), float))
        interval = f" [{low:.1f}, {high:.1f}]" if np.isfinite(low) else ""
        cells.append(f"{100 * results['metrics'][TASKS[task].headline]:.1f}{interval}")
    return f"| {name} | " + " | ".join(cells) + " |"


def main(profile: str = "shipped", seed: int = 0) -> None:
    """Make the weights that ship.

    Args:
        profile: a file in notebooks/profiles.
        seed: of the trainings.
    """
    write(Study(profile, seed=seed))


if __name__ == "__main__":
    with one_sentence():
        tyro.cli(main)
