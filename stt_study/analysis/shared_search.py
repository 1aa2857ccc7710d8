"""Label propagation with many settings at once: settings that see the same cells share one search for the most similar.

An affinity depends on features, not on labels. Of what a search found, each setting takes its
own share, at its own temperature, and carries its own labels.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from stt_core.affinity import affinity, apply_affinity
from stt_core.propagation import Context, Inference


class _SameFrames(Context):
    """A context of several settings with the same frames in it; the settings' labels lie one after the other in K."""

    def __init__(self, settings: Sequence[Inference], num_preceding: int) -> None:
        radius, with_first = max(setting.radius for setting in settings), settings[0].with_first
        super().__init__(num_preceding=num_preceding, radius=radius, with_first=with_first)
        self.searches: dict[tuple, list[int]] = {}  # what is seen -> which settings see it
        for i, setting in enumerate(settings):
            self.searches.setdefault((setting.radius, setting.window, setting.first_windowed), []).append(i)
        self.members = settings

    @torch.no_grad()
    def put(self, t: int, features: Tensor, labels: Tensor) -> None:
        super().put(t, features, labels.repeat(len(self.members), 1, 1))

    @torch.no_grad()
    def propagate(self, t: int, features: Tensor) -> Tensor:
        query = self._cells(t, features)
        height, width, _ = query.shape
        context, labels, first_again = self.context(t)
        before = labels.chunk(len(self.members), dim=3)  # (S, H, W, settings K) -> one (S, H, W, K) a setting
        carried: dict[int, Tensor] = {}
        for (radius, window, first_windowed), some in self.searches.items():
            indices, weights = affinity(
                query,
                context,
                radius=radius,
                topk=max(self.members[i].topk for i in some),
                temperature=1.0,
                window=window,
                first_windowed=first_windowed,
            )
            # At temperature 1 the logarithm of a weight is the cosine, but for a constant a query; -inf where there is none.
            once = weights.T.log(), indices.T  # (N, k) each, best first
            again = once
            if first_again and any(self.members[i].first_twice for i in some):
                repeated = once[1] < height * width
                if not first_windowed:  # whole the first time, through the window the second
                    repeated &= _within(once[1], (height, width), radius, window)
                value = torch.cat([once[0], once[0].masked_fill(~repeated, -torch.inf)], dim=1)
                value, which = value.sort(dim=1, descending=True)
                again = value, torch.cat([once[1], once[1]], dim=1).gather(1, which)
            for i in some:
                value, index = (
                    kept[:, : self.members[i].topk] for kept in (again if self.members[i].first_twice else once)
                )
                weight = (value / self.members[i].temperature).softmax(1)
                carried[i] = apply_affinity(index.T, weight.T, before[i])  # (N, K)
        propagated = torch.cat([carried[i] for i in range(len(self.members))], dim=1).view(height, width, -1)
        self._put(t, query, propagated)
        return propagated.permute(2, 0, 1)  # (H, W, settings K) -> (settings K, H, W)


def _within(index: Tensor, grid: tuple[int, int], radius: int, window: str) -> Tensor:
    """(N, k) bool: which cells of frame 0, by index (N, k) below H W, lie in the windows of their queries."""
    query = torch.arange(len(index), device=index.device)[:, None]
    dy, dx = index // grid[1] - query // grid[1], index % grid[1] - query % grid[1]
    return dy**2 + dx**2 < radius**2 if window == "circle" else (dy.abs() <= radius) & (dx.abs() <= radius)


class SharedSearch:
    """`propagation.Context` for many settings at once.

    Memory: features of as many frames as the settings' `num_preceding`, each value counted once; labels of each setting.

    Args:
        settings: any, also equal ones.
        length: frames of the clip, where known; longer contexts are then the same and computed once.

    Raises:
        InputError: a setting out of its range.
    """

    def __init__(self, settings: Sequence[Inference], length: int | None = None) -> None:
        for setting in settings:
            Context(**setting.propagation())  # checks its ranges
        last = max(length - 1, 1) if length else None
        own = [replace(s, num_preceding=min(s.num_preceding, last or s.num_preceding)) for s in settings]
        groups: dict[tuple, list[Inference]] = {}
        for setting in dict.fromkeys(own):
            groups.setdefault((setting.num_preceding, setting.with_first), []).append(setting)
        self._contexts = [_SameFrames(group, num_preceding) for (num_preceding, _), group in groups.items()]
        place = {setting: (c, i) for c, group in enumerate(groups.values()) for i, setting in enumerate(group)}
        self._places = [place[setting] for setting in own]

    def put(self, t: int, features: Tensor, labels: Tensor) -> None:
        """Give frame 0: features (C, H, W) and labels (K, H, W)."""
        for context in self._contexts:
            context.put(t, features, labels)

    def propagate(self, t: int, features: Tensor) -> list[Tensor]:
        """Labels (K, H, W) float32 of frame `t` >= 1 by every setting, in their order."""
        results = [context.propagate(t, features).chunk(len(context.members)) for context in self._contexts]
        return [results[c][i] for c, i in self._places]
