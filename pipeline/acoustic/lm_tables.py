"""What the LM needs of every position and of every speech token: constants, computed when it first loads."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.runtime.bundle import Bundle, LMSpec, Precision
from pipeline.runtime.prepared import open_arrays
from pipeline.runtime.session import Session, make_session
from pipeline.types import F32, I64

MIN_TABLE_SIZE = 128  # distances; from there on matrix products cut long heads in one way, whatever the size


class LMTables:
    """Outputs of the graph `lm_tables`, cut to a few sizes: a step computes with every distance of its table."""

    def __init__(
        self, speech_hidden: F32, relative: Sequence[F32], cut: Mapping[int, Sequence[F32]] | None = None
    ) -> None:
        self.speech_hidden = speech_hidden  # f32 [num_speech_tokens, hidden_size], behind the input layer
        self._size: int = relative[0].shape[2]
        self._relative = {**(cut or {}), self._size: relative}

    @classmethod
    def compute(cls, session: Session, spec: LMSpec, num_positions: int) -> LMTables:
        encoding = sinusoids(np.arange(num_positions), spec.hidden_size)
        outputs = session.run({"position_encoding": encoding})
        return cls(outputs["speech_hidden"], [outputs[f"relative.{index}"] for index in range(spec.num_layers)])

    @classmethod
    def open(cls, bundle: Bundle, precision: Precision, num_positions: int) -> LMTables:
        """The bundle's tables: prepared in every size, or computed and cut when a size is first asked for."""
        source = bundle.graph("lm_tables", precision)

        def compute() -> LMTables:
            return cls.compute(make_session(source, num_threads=1), bundle.manifest.lm, num_positions)

        arrays = open_arrays(bundle, source, str(num_positions), lambda: compute().arrays())
        return compute() if arrays is None else cls.from_arrays(arrays)

    def arrays(self) -> dict[str, F32]:
        """The tables in every size: `speech_hidden`, and `relative.SIZE` f32 [layers, heads, head_dim, SIZE]."""
        cut = {f"relative.{size}": np.stack(self.relative(size)) for size in self.sizes()}
        return {"speech_hidden": self.speech_hidden, **cut}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, F32]) -> LMTables:
        cut = {array.shape[3]: list(array) for name, array in arrays.items() if name.startswith("relative.")}
        return cls(arrays["speech_hidden"], cut[max(cut)], cut)

    def sizes(self) -> list[int]:
        """Every size that `bucket` may answer, ascending."""
        sizes = [min(MIN_TABLE_SIZE, self._size)]
        while sizes[-1] < self._size:
            sizes.append(self.bucket(sizes[-1] + 1))
        return sizes

    def bucket(self, num_distances: int) -> int:
        """The size of the smallest table that reaches this far: 128, 192, 256, 384, 512, .. and the whole."""
        power = max(MIN_TABLE_SIZE, 1 << (num_distances - 1).bit_length())
        size = power * 3 // 4 if num_distances <= power * 3 // 4 >= MIN_TABLE_SIZE else power
        return min(size, self._size)

    def relative(self, size: int) -> Sequence[F32]:
        """f32 [heads, head_dim, size] of each layer: the keys of distances 0 .. size - 1."""
        if size not in self._relative:
            whole = self._relative[self._size]
            self._relative[size] = [np.ascontiguousarray(table[:, :, :size]) for table in whole]
        return self._relative[size]


def sinusoids(positions: I64, size: int) -> F32:
    """f32 [len(positions), size]: sin and cos of position / 10000^(2i / size), side by side (arXiv 1706.03762, 3.5).

    The angles are rounded to f32 as the official code rounds them.
    """
    frequencies = np.exp(np.arange(0, size, 2) * -(math.log(10000.0) / size)).astype(np.float32)
    angles = positions.astype(np.float32)[:, None] * frequencies
    return np.stack([np.sin(angles), np.cos(angles)], axis=2).reshape(len(positions), -1)
