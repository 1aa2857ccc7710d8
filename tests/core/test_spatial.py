"""MoCo against loops: the loss, the average of the weights, the queue."""

import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from stt_core.color import normalize_rgb, rgb_to_lab
from stt_core.spatial import MoCo, SpatialSettings, two_views

SETTINGS = SpatialSettings(width=0.125, size=32, load_size=40, batch=3, queue=7, momentum=0.9, dim=8)


def moco(**changes) -> MoCo:
    torch.manual_seed(0)
    return MoCo(replace(SETTINGS, **changes))


def noise(count: int = 3, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, 40, 40), dtype=torch.uint8, generator=generator)


def recorded(model: MoCo, images: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries and keys of a forward pass, its loss and its accuracy."""
    embedded = []
    embed = model.embed
    model.embed = lambda *arguments: embedded.append(embed(*arguments)) or embedded[-1]
    loss, accuracy = model(images)
    key, query = embedded
    return query.detach(), key.detach(), loss.detach(), accuracy


@pytest.mark.parametrize("temperature", [0.2, 0.07])
def test_loss_is_info_nce(temperature: float) -> None:
    model = moco(temperature=temperature)
    queue = model.queue.clone()
    torch.testing.assert_close(queue.square().sum(dim=1), torch.ones(7))
    query, key, loss, accuracy = recorded(model, noise())
    total, first = 0.0, 0
    for q, k in zip(query.tolist(), key.tolist(), strict=True):
        assert math.isclose(sum(x * x for x in q), 1, rel_tol=1e-5)  # on the unit sphere
        assert math.isclose(sum(x * x for x in k), 1, rel_tol=1e-5)
        own = sum(x * y for x, y in zip(q, k, strict=True)) / temperature
        others = [sum(x * y for x, y in zip(q, n, strict=True)) / temperature for n in queue.tolist()]
        total -= own - math.log(math.exp(own) + sum(math.exp(other) for other in others))
        first += own > max(others)
    assert loss.item() == pytest.approx(total / len(query), rel=1e-4)
    assert accuracy.item() == pytest.approx(first / len(query))
    assert torch.equal(model.queue, torch.cat([key, queue[3:]]))  # after the loss, which saw the old one


def test_accuracy_counts_own_keys_that_rank_first() -> None:
    """Known embeddings: two of three queries are nearest to their own key."""
    model = moco(queue=2, batch=2, dim=2, temperature=1.0)
    model.queue.copy_(torch.tensor([[-1.0, 0.0], [0.0, 1.0]]))
    embeddings = iter(
        [torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, -1.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, -0.8]])]
    )
    model.embed = lambda *_: next(embeddings)
    loss, accuracy = model(noise())
    rows = [[1, -1, 0], [0, 0, 1], [0.8, -0.6, -0.8]]  # own key, first and second negative
    expected = sum(math.log(sum(math.exp(x) for x in row)) - row[0] for row in rows) / 3
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert accuracy.item() == pytest.approx(2 / 3)


def test_key_encoder_is_the_momentum_average() -> None:
    model = moco()
    for q, k in zip(model.encoder_q.parameters(), model.encoder_k.parameters(), strict=True):
        assert torch.equal(q, k)
    torch.manual_seed(1)
    for parameter in [*model.encoder_q.parameters(), *model.head_q.parameters()]:
        parameter.data.add_(torch.randn_like(parameter))
    online = deepcopy(nn.ModuleList([model.encoder_q, model.head_q]))
    before = deepcopy(nn.ModuleList([model.encoder_k, model.head_k]))
    model(noise())
    after = nn.ModuleList([model.encoder_k, model.head_k])
    for q, old, new in zip(online.parameters(), before.parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(new, 0.9 * old + 0.1 * q)
    for q, now in zip(online.parameters(), nn.ModuleList([model.encoder_q, model.head_q]).parameters(), strict=True):
        assert torch.equal(q, now)  # only the optimizer moves the query encoder


def test_gradients_reach_the_query_encoder_only() -> None:
    model = moco()
    model(noise())[0].backward()
    named = dict(model.named_parameters())
    for name, parameter in named.items():
        if name.startswith(("encoder_k", "head_k")):
            assert parameter.grad is None
            assert not parameter.requires_grad
        else:
            assert parameter.grad is not None
            assert parameter.grad.isfinite().all()
    assert named["encoder_q.conv1.weight"].grad.abs().sum() > 0
    assert model.queue.grad is None


def test_queue_is_first_in_first_out() -> None:
    model = moco()  # 7 places, batches of 3
    places = model.queue.tolist()
    position = 0
    for step in range(6):
        keys = torch.arange(24.0).view(3, 8) + 100 * step
        model.enqueue(keys)
        for key in keys.tolist():
            places[position] = key
            position = (position + 1) % 7
        assert model.queue.tolist() == places
        assert int(model.position) == position


def test_input_colours() -> None:
    rgb = noise().float() / 255
    assert torch.equal(moco().standardise(rgb), rgb_to_lab(rgb))
    assert torch.equal(moco(input="rgb").standardise(rgb), normalize_rgb(rgb))


def test_the_two_encoders_see_two_views() -> None:
    model = moco()
    seen = []
    for encoder in (model.encoder_q, model.encoder_k):
        encoder.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(noise())
    query, key = seen
    assert query.shape == key.shape == (3, 3, 32, 32)
    assert all(not torch.equal(q, k) for q, k in zip(query, key, strict=True))


def test_views_lie_in_range_and_differ_per_image() -> None:
    torch.manual_seed(0)
    augment = two_views(SpatialSettings(size=32))
    image = noise(1).float().expand(16, -1, -1, -1) / 255  # one image sixteen times
    views = augment(image)
    assert views.shape == (16, 3, 32, 32)
    assert views.min() >= 0
    assert views.max() <= 1 + 1e-6
    distinct = {tuple(view.flatten().tolist()) for view in views}
    assert len(distinct) == 16
    grey = [torch.allclose(view, view[:1].expand(3, -1, -1), atol=1e-5) for view in views]
    assert 0 < sum(grey) < 16  # drawn per image, not per batch
    assert not torch.equal(augment(image), views)
    torch.manual_seed(0)
    again = two_views(SpatialSettings(size=32))(image)
    assert torch.equal(again, views)  # all randomness is torch's, so that a run can be resumed
