"""How far one wave is from another: magnitudes at several resolutions, never the phase, which the source sets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.audio.features import MelSpectrogram

WINDOWS = (2048, 1024, 512, 256, 128, 64)  # samples; the hop is a quarter. The longest parts a deep voice's harmonics
_MEL_WINDOW = 1024
_TINY = 1e-7  # under the root
_FLOOR = 1e-3  # of a magnitude before its logarithm: the teacher's quantisation noise
_MEL_FLOOR = 1e-4
_CONVERGENCE_SHARE = 0.5
_MEL_SHARE = 2.0
_LAGS = 300  # samples at half the sample rate: down to 37 Hz, a period of two mel frames among them
_HOP_LAGS = [127, 128, 129, 255, 256, 257]  # about one mel frame, and two
_HOP_SHARE = 6.0
_PERIOD_LEVEL = 1e-3  # rms, full scale 1
_LOW_PASS = torch.tensor([[[0.25, 0.5, 0.25]]])


class SpectralLoss(nn.Module):
    """Multi-resolution STFT loss (arXiv 1910.11480) and the L1 distance of log mels.

    Args:
        windows: in samples; the mel's, 1024, among them.
    """

    filters: Tensor

    def __init__(self, windows: Sequence[int] = WINDOWS) -> None:
        super().__init__()
        self._windows = tuple(windows)
        self._hanns = {size: torch.hann_window(size) for size in windows}
        filters = MelSpectrogram(n_fft=_MEL_WINDOW).filters
        self.register_buffer("filters", torch.from_numpy(filters.T.astype(np.float32)), persistent=False)

    def forward(self, made: Tensor, true: Tensor) -> Tensor:
        """Waves f32 [B, n] -> scalar."""
        total = torch.zeros(())
        for size in self._windows:
            near, far = self._magnitude(made, size), self._magnitude(true, size)
            convergence = torch.linalg.norm(near - far) / (torch.linalg.norm(far) + _FLOOR)
            total = total + _log_distance(near, far, _FLOOR) + _CONVERGENCE_SHARE * convergence
            if size == _MEL_WINDOW:
                total = total + _MEL_SHARE * _log_distance(self._mel(near), self._mel(far), _MEL_FLOOR)
        return total

    def _magnitude(self, wave: Tensor, size: int) -> Tensor:
        """f32 [B, n] -> f32 [B, size / 2 + 1, frames]."""
        spectrum = torch.stft(wave, size, size // 4, window=self._hanns[size], return_complex=True)
        return torch.sqrt(spectrum.real**2 + spectrum.imag**2 + _TINY)

    def _mel(self, magnitude: Tensor) -> Tensor:
        return magnitude.transpose(1, 2) @ self.filters


def _log_distance(near: Tensor, far: Tensor, floor: float) -> Tensor:
    return F.l1_loss(torch.log(near + floor), torch.log(far + floor))


def period_error(made: Tensor, true: Tensor) -> Tensor:
    """How differently two waves f32 [B, n] repeat themselves: mean distance of their normalized autocorrelations.

    Noise that is the same in every mel frame comes nearer to any other noise's magnitudes than fresh noise does, so
    without this a vocoder makes fricatives of it. They buzz at the rate of the mel frames, and a low voice is heard
    an octave too low where a syllable begins. Those periods count more, and frames below _PERIOD_LEVEL do not count.
    """
    error = _autocorrelation(made) - _autocorrelation(true)
    return error.abs().mean() + _HOP_SHARE * (error[..., _HOP_LAGS] ** 2).mean()


def _autocorrelation(wave: Tensor) -> Tensor:
    """Of the first half of each frame with what follows it, at half the sample rate: f32 [B, frames, _LAGS]."""
    low = F.conv1d(wave[:, None], _LOW_PASS, stride=2)[:, 0]
    frames = low.unfold(1, 2 * _LAGS, _LAGS // 2)
    head = F.pad(frames[..., :_LAGS], (0, _LAGS))
    product = torch.fft.irfft(torch.fft.rfft(frames) * torch.fft.rfft(head).conj(), n=2 * _LAGS)[..., :_LAGS]
    energy = F.pad(frames**2, (1, 0)).cumsum(dim=-1)
    moving = energy[..., _LAGS : 2 * _LAGS] - energy[..., :_LAGS]
    correlation: Tensor = product * (moving * moving[..., :1] + (_LAGS * _PERIOD_LEVEL**2) ** 2).rsqrt()
    return correlation


def melody_error(f0: Tensor, true: Tensor, elbow_hz: float) -> Tensor:
    """Smooth L1 of F0 in Hz, f32 [B, T] each; a frame where voicing begins or ends may take either side's value.

    A mel frame spans four hops and does not say where exactly voicing changes. Right on the average is then a value
    halfway between F0 and 0: a swoop in every syllable, which is heard as another tone.
    """
    before, after = F.pad(true[:, :-1], (1, 0), mode="replicate"), F.pad(true[:, 1:], (0, 1), mode="replicate")
    is_edge = ((before > 0) != (true > 0)) | ((after > 0) != (true > 0))
    other = torch.where(true > 0, torch.zeros_like(true), torch.maximum(before, after))
    error = F.smooth_l1_loss(f0, true, beta=elbow_hz, reduction="none")
    either = torch.minimum(error, F.smooth_l1_loss(f0, other, beta=elbow_hz, reduction="none"))
    return torch.where(is_edge, either, error).mean()
