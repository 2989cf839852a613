"""The training loop that every part of the voice shares: schedule, moving average, checkpoints, progress."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.errors import BundleError

Losses = Mapping[str, Tensor]

_PROGRESS_EVERY = 25  # steps
_SMOOTHING = 0.97  # of the printed losses


@dataclass(frozen=True, slots=True)
class Schedule:
    """Linear warm-up, then half a cosine down to `floor` of the peak."""

    learning_rate: float
    num_steps: int
    num_warm_up: int = 150
    floor: float = 0.03

    def at(self, step: int) -> float:
        warm = min(1.0, (step + 1) / self.num_warm_up)
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.num_steps)))
        return self.learning_rate * warm * (self.floor + (1 - self.floor) * cosine)


class Trainer:
    """AdamW over the trainable parameters of a module, with an exponential moving average of the weights.

    `file` is the checkpoint: {"model", "average", "optimizer", "step", "seconds"}. An existing one is resumed.

    Args:
        betas: of AdamW.
        clip: largest gradient norm.
        average: decay of the moving average, reached after a few hundred steps.
    """

    def __init__(
        self,
        module: nn.Module,
        schedule: Schedule,
        file: Path,
        *,
        betas: tuple[float, float] = (0.9, 0.98),
        weight_decay: float = 0.01,
        clip: float = 1.0,
        average: float = 0.999,
    ) -> None:
        self.module = module
        self.step = 0
        self.seconds = 0.0
        self._schedule = schedule
        self._file = file
        self._clip = clip
        self._decay = average
        self._names = [name for name, weight in module.named_parameters() if weight.requires_grad]
        self._weights = [weight for weight in module.parameters() if weight.requires_grad]
        self._optimizer = torch.optim.AdamW(self._weights, 0.0, betas, weight_decay=weight_decay, fused=True)
        self._average = [weight.detach().clone() for weight in self._weights]
        self._shown: dict[str, float] = {}
        if file.is_file():
            self._load()

    def run(self, losses: Callable[[int], Losses], max_seconds: float = math.inf, save_every_s: float = 60.0) -> None:
        """Steps until the schedule ends or time is up. `losses(step)` names them; "total" is minimised."""
        started = saved = time.monotonic()
        before = self.seconds
        self.module.train()
        while self.step < self._schedule.num_steps and time.monotonic() - started < max_seconds:
            values = losses(self.step)
            self._update(values["total"])
            self.seconds = before + time.monotonic() - started
            self._show(values)
            if time.monotonic() - saved > save_every_s:
                self.save()
                saved = time.monotonic()
        self.save()

    def averaged(self) -> dict[str, Tensor]:
        """The module's state with the moving averages in place of the trained weights."""
        state = {name: value.detach().clone() for name, value in self.module.state_dict().items()}
        return {**state, **dict(zip(self._names, self._average, strict=True))}

    def save(self) -> None:
        """Writes the checkpoint in one move, so that a stopped run leaves a whole one behind."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        state = {
            "model": self.module.state_dict(),
            "average": self.averaged(),
            "optimizer": self._optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        partial = self._file.with_suffix(".partial")
        torch.save(state, partial)
        os.replace(partial, self._file)

    def _load(self) -> None:
        state: dict[str, Any] = torch.load(self._file, weights_only=True)
        self.module.load_state_dict(state["model"])
        self._average = [state["average"][name].clone() for name in self._names]
        self._optimizer.load_state_dict(state["optimizer"])
        self.step, self.seconds = state["step"], state["seconds"]

    def _update(self, total: Tensor) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = self._schedule.at(self.step)
        self._optimizer.zero_grad(set_to_none=True)
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._weights, self._clip)
        self._optimizer.step()
        self.step += 1
        decay = min(self._decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(self._average, list(self._weights), 1 - decay)

    def _show(self, values: Losses) -> None:
        for name, value in values.items():
            now = float(value.detach())
            self._shown[name] = _SMOOTHING * self._shown.get(name, now) + (1 - _SMOOTHING) * now
        if self.step % _PROGRESS_EVERY == 0:
            shown = " ".join(f"{name} {value:.3f}" for name, value in self._shown.items())
            pace = self.seconds / self.step
            print(
                f"step {self.step}/{self._schedule.num_steps} {shown} {pace:.2f} s/step {self.seconds / 60:.1f} min",
                flush=True,
            )


def load_averaged(file: Path, module: nn.Module) -> int:
    """Puts a checkpoint's averaged weights into the module; returns the number of steps they were trained for.

    Raises:
        BundleError: there is no such checkpoint yet.
    """
    if not file.is_file():
        raise BundleError(f"{file} is missing: train the {file.stem} first.")
    state: dict[str, Any] = torch.load(file, weights_only=True)
    module.load_state_dict(state["average"])
    return int(state["step"])
