"""The seven speakers: a pitch and a vocal tract each, for a teacher that otherwise speaks all of them alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipeline.types import F32

RATE = 145  # words a minute, of every speaker
EMBEDDING_DIM = 192

_OCTAVE_SHARE = 1.475  # top over bottom of the pitch, espeak's default: the same semitones for every speaker
_SEED = 300


@dataclass(frozen=True, slots=True)
class Speaker:
    """`pitch_hz` is the bottom of the range that speech moves in.

    `formants` are percentages of a man's average, F1 to F5; `tilt` of the strength of the upper formants.
    """

    name: str
    variant: str
    pitch_hz: int
    formants: tuple[int, int, int, int, int]
    tilt: int
    volume: int
    voicing: int = 100

    @property
    def definition(self) -> str:
        """espeak-ng's voice variant: formant number, then percent of frequency, strength and width."""
        lines = ["language variant", f"name {self.variant}", "gender " + ("female" if self.is_female else "male")]
        lines.append(f"pitch {self.pitch_hz} {round(self.pitch_hz * _OCTAVE_SHARE)}")
        lines.append(f"formant 0 {self.formants[0]} 100 100")
        for number, percent in enumerate((*self.formants, 105, 105, 105), 1):
            lines.append(f"formant {number} {percent} {100 if number < 3 else self.tilt} {self._width}")
        lines.append(f"voicing {self.voicing}")
        return "\n".join(lines) + "\n"

    @property
    def is_female(self) -> bool:
        return self.name.endswith("女")

    @property
    def _width(self) -> int:
        return 125 if self.is_female else 100


SPEAKERS = (
    Speaker("中文女", "zh_f", 160, (112, 112, 112, 112, 110), 90, 58),
    Speaker("中文男", "zh_m", 84, (98, 98, 98, 98, 100), 100, 84),
    Speaker("英文女", "en_f", 178, (116, 120, 116, 114, 112), 80, 58),
    Speaker("英文男", "en_m", 72, (95, 92, 94, 96, 98), 80, 70, 130),
    Speaker("日语男", "ja_m", 100, (102, 103, 102, 100, 100), 115, 80),
    Speaker("粤语女", "yue_f", 143, (106, 109, 108, 110, 108), 105, 58),
    Speaker("韩语女", "ko_f", 198, (118, 115, 120, 116, 112), 95, 54),
)


def speaker_vectors() -> F32:
    """One orthonormal row per speaker: f32 [7, 192]; the flow's only knowledge of who speaks."""
    rows = np.random.default_rng(_SEED).standard_normal((EMBEDDING_DIM, len(SPEAKERS)))
    return np.linalg.qr(rows)[0].T.astype(np.float32)
