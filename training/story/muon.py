"""Muon: momentum whose singular values are all made about 1 by Newton-Schulz steps (Jordan et al. 2024), for matrices.

Matrices of one shape go through the iteration as one batch.
"""

from __future__ import annotations

from collections import defaultdict

import torch


def orthogonal(g: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """[n, rows, columns] with singular values near 1 and the same singular vectors."""
    x = g.bfloat16() if g.is_cuda else g.float()
    tall = x.shape[-2] > x.shape[-1]
    if tall:
        x = x.mT
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        a = x @ x.mT
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.mT if tall else x).float()


class Muon:
    def __init__(self, matrices: list[torch.Tensor], lr: float = 0.02, momentum: float = 0.95, decay: float = 0.05):
        groups: dict[torch.Size, list[torch.Tensor]] = defaultdict(list)
        for matrix in matrices:
            groups[matrix.shape].append(matrix)
        self.groups = list(groups.values())
        self.velocity = [torch.zeros(len(group), *group[0].shape, device=group[0].device) for group in self.groups]
        self.lr, self.momentum, self.decay = lr, momentum, decay

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """One update at lr * scale, from the matrices' gradients."""
        for group, velocity in zip(self.groups, self.velocity, strict=True):
            gradient = torch.stack([matrix.grad.float() for matrix in group])
            velocity.lerp_(gradient, 1 - self.momentum)
            update = orthogonal(gradient.lerp(velocity, self.momentum))
            rows, columns = group[0].shape
            rate = self.lr * scale * max(1, rows / columns) ** 0.5
            for matrix, change in zip(group, update, strict=True):
                matrix.mul_(1 - self.lr * scale * self.decay).add_(change, alpha=-rate)
