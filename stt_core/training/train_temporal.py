"""Step two: the training loop (paper section 2). Resumable, logged, on one process or many."""

from dataclasses import replace
from pathlib import Path

import torch

from stt_core import distributed as processes
from stt_core.checkpoints import open_weights
from stt_core.distributed import ALONE, Scale, chosen_precision, part_of_batch, start, synchronise
from stt_core.encoder import STANDARD, STUDENT, Encoder
from stt_core.errors import TRAINING, InputError, out_of_memory
from stt_core.temporal import SpatialThenTemporal, TemporalSettings
from stt_core.training.loop import batches_of, check_division
from stt_core.training.pairs import FramePairs
from stt_core.training.run import Run


def temporal_model(
    settings: TemporalSettings, initial: str | Path | Encoder | None, teacher: str | Path | Encoder | None
) -> SpatialThenTemporal:
    """The model of step two from weights files or encoders; InputError for weights that are missing or do not fit.

    The student starts from `initial`; None = random weights. The frozen teacher is of Lab input unless its file says
    otherwise; one that the settings don't need isn't opened.
    """
    teacher_input = "lab"
    if isinstance(initial, str | Path):
        found = open_weights(initial)
        if (found.depth, round(64 * found.width)) != (settings.depth, round(64 * settings.width)):
            kind = f"a ResNet-{settings.depth} of width {settings.width:g}"
            raise InputError(f"{initial} does not fit {kind}; give weights of the same depth and width.")
        initial = found.encoder(*STUDENT)
    if not (settings.weight_global or settings.weight_forget):
        teacher = None
    elif isinstance(teacher, str | Path):
        found = open_weights(teacher)
        teacher, teacher_input = found.encoder(*STANDARD), found.input
    return SpatialThenTemporal(settings, initial, teacher, teacher_input)


@out_of_memory(TRAINING.format(step="temporal"))
def train_temporal(
    settings: TemporalSettings,
    pairs: FramePairs,
    out: str | Path,
    *,
    initial: str | Path | Encoder | None,
    teacher: str | Path | Encoder | None,
    scale: Scale = ALONE,
    save_every: int = 50,
    origin: dict | None = None,
) -> Path:
    """Train step two on frame pairs; return the path of `weights.pth`, the student. Files are those of step one.

    Batch statistics are those of all processes together (SyncBN, paper section 2), so that their number changes nothing
    but rounding. With `accumulate`, each part of the batch has its own, as on a device that holds no more.

    Args:
        initial: weights or encoder that the student starts from; None = random weights.
        teacher: the frozen encoder, of Lab input unless its file says otherwise; None where the settings need none.
        out, scale, origin: as for `train_spatial`; errors, too.

    Example:
        >>> settings, pairs = TemporalSettings(width=0.25, size=64, batch=2, steps=1), FramePairs(videos, size=64)
        >>> train_temporal(settings, pairs, folder / "two", initial=None, teacher=Encoder(18, 0.25)).name
        'weights.pth'
    """
    settings = replace(settings, precision=chosen_precision(settings.precision, scale.device))
    fabric = start(settings.precision, scale)
    parts = settings.accumulate
    check_division(settings.batch, parts * processes.count(), "temporal.accumulate times processes")
    torch.manual_seed(settings.seed)
    model = temporal_model(settings, initial, teacher)
    optimizer = torch.optim.Adam(model.student.parameters(), settings.lr, betas=(0.9, 0.999))
    run = Run(Path(out), settings, model, optimizer, fabric, save_every, origin=origin, tensorboard=scale.tensorboard)
    synchronise(model.student, fabric.device)
    if scale.compile:
        model.student.compile()
    student = model.student
    model, optimizer = fabric.setup(model.to(memory_format=torch.channels_last), optimizer)
    for step, batch in run.steps(batches_of(pairs, settings, run.start, scale.workers, parts)):
        channel = 1 + int(torch.randint(2, ()))  # a or b, one for the whole batch
        optimizer.zero_grad()
        totals: dict[str, torch.Tensor] = {}
        # Pairs alone, or with the global distillation's targets where the data set knows better than a teacher.
        given = [one.to(fabric.device).chunk(parts) for one in (batch if isinstance(batch, list) else [batch])]
        for part, (pairs_of_part, *target) in enumerate(zip(*given, strict=True)):
            with fabric.no_backward_sync(model, enabled=part + 1 < parts):
                with part_of_batch(student, part, parts):
                    losses = model(pairs_of_part, channel, *target)
                loss = sum(losses.values())
                fabric.backward(loss / parts)
            for name, value in {"loss": loss, **losses}.items():
                totals[name] = totals.get(name, 0) + value.detach() / parts
        optimizer.step()
        run.log(step, **totals)
    return run.finish(student, "lab")
