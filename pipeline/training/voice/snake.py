"""The Snake activation for training: a third of the memory traffic of its plain form."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from pipeline.model.hift import SNAKE_EPS, HiFTGenerator, ResBlock, Snake


class _Snake(torch.autograd.Function):
    """x + sin^2(a x) / a as x + (1 - cos(2 a x)) / 2a, whose derivative is 1 + sin(2 a x). None for a."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, alpha: Tensor) -> Tensor:
        angle = x * (2 * alpha)
        ctx.save_for_backward(angle)
        half = 0.5 / (alpha + SNAKE_EPS)
        return torch.add(x, half).addcmul_(torch.cos(angle), half, value=-1.0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (angle,) = ctx.saved_tensors
        return torch.sin(angle).add_(1.0).mul_(gradients[0]), None


class FixedSnake(Snake):
    """Computes what Snake does; its alpha is not learned."""

    def __init__(self, snake: Snake) -> None:
        super().__init__(len(snake.alpha))
        self.alpha = nn.Parameter(snake.alpha.detach(), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return _Snake.apply(x, self.alpha[:, None])  # type: ignore[no-any-return, no-untyped-call]


def fix_snakes(vocoder: HiFTGenerator) -> None:
    """The convolutions before and after scale what alpha would; parameter names stay the same."""
    for block in (*vocoder.resblocks, *vocoder.source_resblocks):
        for activations in (cast(ResBlock, block).activations1, cast(ResBlock, block).activations2):
            for index, snake in enumerate(activations):
                activations[index] = FixedSnake(cast(Snake, snake))
