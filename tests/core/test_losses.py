"""Losses, against hand-written loops, hand-computed values and the released code's figures."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from loops import naive_bilinear, random

from stt_core import losses
from stt_core.correlation import correlation
from stt_core.errors import InputError

GOLDEN = Path(__file__).parents[3] / "shared" / "golden" / "losses.npz"
RELEASED = losses.LocalDistillation.released()


def levels(height=4, width=4, seed=10):
    """Fine and coarse correlations and the coarse features (query, reference) of a batch of 2."""
    fine = correlation(
        random(2, 3, 2 * height, 2 * width, seed=seed), random(2, 3, 2 * height, 2 * width, seed=seed + 1)
    )
    query, reference = random(2, 5, height, width, seed=seed + 2), random(2, 5, height, width, seed=seed + 3)
    return fine, correlation(query, reference, radius=1), query, reference


@pytest.mark.parametrize("channel", [1, 2])
def test_reconstruction_agrees_with_loops(channel):
    stride, height, width = 4, 2, 3
    c = random(2, 6, 6, seed=1).softmax(dim=2)
    reference, query = 0.1 * random(2, 3, 8, 12, seed=2), 0.1 * random(2, 3, 8, 12, seed=3)
    errors = []
    for b in range(2):
        small = np.zeros((height, width))
        for i in range(6):
            for j in range(6):
                colour = reference[b, channel, stride * (j // width), stride * (j % width)]
                small[i // width, i % width] += float(c[b, i, j] * colour)
        difference = 20 * (naive_bilinear(small, (height * stride, width * stride)) - query[b, channel].numpy())
        errors += [0.5 * d * d if abs(d) < 1 else abs(d) - 0.5 for d in difference.flatten()]
    assert min(errors) < 0.5 < max(errors)  # both pieces of smooth-L1 are met
    loss = float(losses.reconstruction_loss(c, reference, query, channel, stride))
    assert loss == pytest.approx(np.mean(errors), rel=1e-9)


def naive_score(query, reference, radius, score):
    """Score of each query of one image, from its window, one cell at a time."""
    _, height, width = query.shape
    out = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            window = []
            for v in range(y - radius, y + radius + 1):
                for u in range(x - radius, x + radius + 1):
                    inside = 0 <= v < height and 0 <= u < width
                    window.append(float(query[:, y, x] @ reference[:, v, u]) if inside else 0.0)
            total = sum(math.exp(w) for w in window)
            p = [math.exp(w) / total for w in window]
            out[y, x] = -sum((q if score == "entropy" else 1) * math.log(q) for q in p)
    return out


@pytest.mark.parametrize("score", ["entropy", "neg_log"])
def test_scores_agree_with_loops(score):
    query, reference = random(2, 3, 3, 4, seed=4), random(2, 3, 3, 4, seed=5)
    scores = losses.entropy_map(query, reference, 1, score)
    for b in range(2):
        np.testing.assert_allclose(scores[b].numpy(), naive_score(query[b], reference[b], 1, score), rtol=1e-8)


def test_a_flat_window_has_the_highest_entropy_and_the_lowest_released_score():
    query, reference = random(1, 3, 5, 5, seed=6), random(1, 3, 5, 5, seed=7)
    query[:, :, 2, 2] = 0
    entropy, released = (losses.entropy_map(query, reference, 2, score).flatten() for score in ("entropy", "neg_log"))
    assert entropy.argmax() == released.argmin() == 12
    assert float(entropy[12]) == pytest.approx(math.log(25))
    assert float(released[12]) == pytest.approx(25 * math.log(25))


def test_entropy_of_an_overwhelming_match_is_zero_not_nan():
    features = torch.full((1, 2, 3, 3), 0.01)
    features[0, :, 1, 1] = 1e3
    assert float(losses.entropy_map(features, features, 1)[0, 1, 1]) == 0
    assert losses.entropy_map(features, features, 1).isfinite().all()


def test_share_one_selects_all_and_a_tiny_share_selects_one():
    scores = torch.zeros(2, 3, 3)  # ties, too
    assert losses.selection_mask(scores, 1.0).all()
    assert (losses.selection_mask(scores, 0.001).sum(dim=(1, 2)) == 1).all()


def test_row_selection_by_hand():
    # Rows sorted, highest first: [9 5 1], [8 4 2], [7 6 3]; int(3 * 0.7) - 1 = 1, so each row is held against [8 4 2].
    scores = torch.tensor([[[1.0, 9.0, 5.0], [8.0, 2.0, 4.0], [7.0, 6.0, 3.0]]])
    expected = torch.tensor([[[False, True, True], [False, False, True], [False, True, True]]])  # 8 > 8 is false
    assert torch.equal(losses.selection_mask(scores, 0.7, "rows"), expected)
    # int(3 * 0.1) - 1 is below 0: the first row counts.
    expected = scores > torch.tensor([9.0, 5.0, 1.0])
    assert torch.equal(losses.selection_mask(scores, 0.1, "rows"), expected)


def test_soft_weights_by_hand():
    scores = torch.full((2, 8, 8), 99.0)  # the border must not count
    scores[0, 3:5, 3:5] = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    scores[1, 3:5, 3:5] = torch.tensor([[10.0, 0.0], [5.0, 5.0]])
    weights = losses.soft_weights(scores)
    torch.testing.assert_close(weights[0, 3:5, 3:5], torch.tensor([[0.25, 0.5], [0.75, 1.0]]))
    torch.testing.assert_close(weights[1, 3:5, 3:5], torch.tensor([[1.0, 0.0], [0.5, 0.5]]))
    assert weights.sum() == weights[:, 3:5, 3:5].sum()


ONE_BY_ONE = [
    losses.LocalDistillation(),
    losses.LocalDistillation(share=1.0),
    losses.LocalDistillation(target_rows="quarter"),
    losses.LocalDistillation(score="neg_log"),
    losses.LocalDistillation(selection="rows"),
    losses.LocalDistillation(soft=True),
    RELEASED,
    losses.LocalDistillation.released(soft=True),
]


def naive_local(fine, coarse, query, reference, settings, radius):
    batch, _, height, width = query.shape
    cells = height * width
    total = count = 0.0
    for b in range(batch):
        scores = naive_score(query[b], reference[b], radius, settings.score)
        if settings.soft:
            weights = np.zeros((height, width))
            weights[3:-3, 3:-3] = scores[3:-3, 3:-3] / scores[3:-3, 3:-3].max()
        elif settings.selection == "map":
            limit = np.sort(scores.flatten())[::-1][round(settings.share * cells) - 1]
            weights = (scores >= limit).astype(float)
        else:
            weights = (scores > np.sort(scores[int(width * settings.share) - 1])[::-1]).astype(float)
        for i in range(cells):
            for j in range(cells):
                target = 0.0
                for dy, dx, ey, ex in np.ndindex(2, 2, 2, 2):
                    q = (2 * (i // width) + dy) * 2 * width + 2 * (i % width) + dx
                    r = (2 * (j // width) + ey) * 2 * width + 2 * (j % width) + ex
                    target += float(fine[b, q, r]) / (4 if settings.target_rows == "one" else 16)
                total += weights[i // width, i % width] * (float(coarse[b, i, j]) - target) ** 2
            count += weights[i // width, i % width] * cells
    return total / count


@pytest.mark.parametrize("settings", ONE_BY_ONE, ids=str)
def test_local_agrees_with_loops(settings):
    size = 7 if settings.soft else 4
    inputs = levels(size, size)
    loss = losses.local_distillation_loss(*inputs, settings, radius=1)
    assert float(loss) == pytest.approx(naive_local(*inputs, settings, 1), rel=1e-7)


def test_local_with_no_query_selected_is_zero_not_nan():
    fine, coarse, *_ = levels()
    flat = torch.zeros(2, 5, 4, 4, dtype=torch.float64)  # all scores alike: none is above the threshold
    assert float(losses.local_distillation_loss(fine, coarse, flat, flat, RELEASED, radius=1)) == 0


@pytest.mark.parametrize("settings", ONE_BY_ONE, ids=str)
def test_local_gradient_reaches_the_coarse_correlation_only(settings):
    inputs = [x.detach().requires_grad_() for x in levels(8, 8)]
    losses.local_distillation_loss(*inputs, settings, radius=1).backward()
    fine, coarse, query, reference = (x.grad for x in inputs)
    assert fine is None
    assert query is None
    assert reference is None
    assert coarse.abs().sum() > 0


def test_global_agrees_with_loops():
    student = [random(2, 4, 2, 3, seed=s) for s in (20, 21)]
    teacher = [0.1 * random(2, 5, 2, 3, seed=s) for s in (22, 23)]

    def naive(query, reference, b, i, temperature):
        logits = [float(query[b].flatten(1)[:, i] @ reference[b].flatten(1)[:, j]) / temperature for j in range(6)]
        return [math.exp(v) / sum(math.exp(w) for w in logits) for v in logits]

    errors = [
        (p - q) ** 2
        for b in range(2)
        for i in range(6)
        for p, q in zip(naive(*student, b, i, math.sqrt(4)), naive(*teacher, b, i, 0.07), strict=True)
    ]
    assert float(losses.global_distillation_loss(*student, losses.teacher_correlation(*teacher))) == pytest.approx(
        np.mean(errors), rel=1e-9
    )


def test_a_teacher_of_cosines_sees_no_lengths():
    query, reference = (random(2, 5, 2, 3, seed=s) for s in (22, 23))
    cosine = torch.nn.functional.cosine_similarity(query[..., None, None], reference[:, :, None, None], dim=1)
    expected = (cosine.flatten(1, 2).flatten(2) / 0.07).softmax(dim=2)  # (B, H, W, H, W) -> (B, N, N)
    lengths = 0.1 + torch.rand(2, 1, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(losses.teacher_correlation(query * lengths, reference / lengths, cosine=True), expected)


def test_queries_without_a_target_do_not_count():
    query, reference = (random(2, 4, 2, 3, seed=s) for s in (20, 21))
    target = losses.teacher_correlation(*(random(2, 5, 2, 3, seed=s) for s in (22, 23)))
    own, kept = correlation(query, reference), [(0, 1), (0, 4), (1, 2)]
    part = torch.zeros_like(target)
    for b, i in kept:
        part[b, i] = target[b, i]
    expected = np.mean([float((own[b, i] - target[b, i]).square().mean()) for b, i in kept])
    assert float(losses.global_distillation_loss(query, reference, part)) == pytest.approx(expected, rel=1e-9)
    assert float(losses.global_distillation_loss(query, reference, torch.zeros_like(target))) == 0


def test_global_gradient_reaches_the_student_only():
    maps = [random(1, 4, 2, 2, seed=s).requires_grad_() for s in range(4)]
    losses.global_distillation_loss(*maps[:2], losses.teacher_correlation(*maps[2:])).backward()
    assert all(m.grad.abs().sum() > 0 for m in maps[:2])
    assert all(m.grad is None for m in maps[2:])


def test_without_forgetting_by_loops():
    student, teacher = random(2, 3, 2, 4, seed=40).requires_grad_(), random(2, 3, 2, 4, seed=41).requires_grad_()
    distances = []
    for b in range(2):
        for y in range(2):
            for x in range(4):
                own, taught = student[b, :, y, x].tolist(), teacher[b, :, y, x].tolist()
                lengths = [math.sqrt(sum(v * v for v in cell)) for cell in (own, taught)]
                distances.append(sum((o / lengths[0] - t / lengths[1]) ** 2 for o, t in zip(own, taught, strict=True)))
    loss = losses.without_forgetting_loss(student, teacher)
    assert loss.item() == pytest.approx(sum(distances) / len(distances), rel=1e-5)
    loss.backward()
    assert student.grad.abs().max() > 0
    assert teacher.grad is None


REFUSED = {
    "share": lambda: losses.LocalDistillation(share=0),
    "score": lambda: losses.LocalDistillation(score="p"),
    "selection": lambda: losses.LocalDistillation(selection="row"),
    "target_rows": lambda: losses.LocalDistillation(target_rows="two"),
    "do not divide": lambda: losses.reconstruction_loss(torch.eye(4)[None], *[torch.zeros(1, 3, 10, 8)] * 2, 1, 4),
    "square": lambda: losses.selection_mask(torch.zeros(1, 4, 6), 0.7, "rows"),
    "larger frames": lambda: losses.soft_weights(torch.ones(1, 6, 8)),
    "teacher": lambda: losses.global_distillation_loss(*[torch.zeros(1, 4, 2, 2)] * 2, torch.zeros(1, 16, 16)),
    "features are": lambda: losses.without_forgetting_loss(torch.ones(1, 3, 2, 2), torch.ones(1, 3, 2, 1)),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_is_refused(words):
    with pytest.raises(InputError, match=words):
        REFUSED[words]()


def test_losses_under_autocast_equal_those_in_float32():
    fine, coarse, query, reference = (x.float() for x in levels())
    lab = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    def found():
        target = losses.teacher_correlation(reference, query, cosine=True)
        yield losses.reconstruction_loss(coarse, lab, lab.flip(0), 1, 8)
        yield losses.local_distillation_loss(fine, coarse, query, reference, radius=1)
        yield losses.global_distillation_loss(query, reference, target)

    expected = list(found())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(list(found()), expected, rtol=1e-6, atol=0)


@pytest.mark.skipif(not GOLDEN.exists(), reason="the golden values are not beside this repository")
def test_golden_losses_of_the_released_code():
    golden = np.load(GOLDEN)

    def pair(name):  # index 0 of axis 1 is the reference, 1 the query
        return torch.from_numpy(golden[name]).unbind(1)

    (reference_fine, query_fine), (reference, query) = pair("features_fine"), pair("features_coarse")
    (reference_global, query_global), teacher = pair("features_global"), pair("features_teacher")
    lab, channel = pair("lab"), int(golden["dropped_channel"][0])
    fine, coarse = correlation(query_fine, reference_fine, radius=6), correlation(query, reference, radius=3)
    target = losses.teacher_correlation(*reversed(teacher))  # query, reference
    in_both = {
        "stage0_l1_loss": losses.reconstruction_loss(fine, *lab, channel, 4),
        "stage1_l1_loss": losses.reconstruction_loss(coarse, *lab, channel, 8),
        "global_corrdis_loss": 50 * losses.global_distillation_loss(query_global, reference_global, target),
    }

    def local(settings):
        return 1000 * losses.local_distillation_loss(fine, coarse, query, reference, settings, radius=3)

    for variant, settings in (("T0.7", RELEASED), ("Tsoft", losses.LocalDistillation.released(soft=True))):
        for name, value in (in_both | {"local_corrdis_loss": local(settings)}).items():
            assert float(value) == pytest.approx(float(golden[f"{variant}__{name}"]), abs=1e-5, rel=0), name
    # The text's loss on the same features is another number: the switches are not idle.
    assert abs(float(local(losses.LocalDistillation())) - float(golden["T0.7__local_corrdis_loss"])) > 1e-2
