"""The frames of a window that get samples, inside the vocoder's graph: context is dropped behind the last to need it.

A vocoder's receptive field lies mostly in its first, slow layers, and its arithmetic in the last, fast ones. So a graph
that keeps of each layer only what the samples need still reads the context, and hardly pays for it.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from pipeline.export.graph import GraphBuilder
from pipeline.export.receptive_field import Span

TIME_AXIS = 3  # of values [B, C, 1, T]


class KeptFrames:
    """Adds the input `context`, i64 [2]: frames at the start and at the end of the mel that are context only.

    Positions below are i64 [1] and absolute in the window, in units of the layer that they are of.
    """

    def __init__(self, graph: GraphBuilder, mel: str) -> None:
        self.graph = graph
        context = graph.input("context", TensorProto.INT64, [2])
        num_frames = graph.op("Shape", mel, start=1, end=2)
        self.first, after = graph.op("Split", context, graph.const([1, 1], np.int64), num_outputs=2, axis=0)
        self.stop = graph.op("Sub", num_frames, after)

    def positions(self, needed: Span, rate: int) -> tuple[str, str]:
        """From and to where a layer of `rate` positions a frame is needed, if a frame needs span `needed`.

        The end may lie behind the layer's, and a slice then ends with it.
        """
        start = self.graph.add(self.scaled(self.first, rate), self._const(needed.first))
        stop = self.graph.add(self.scaled(self.stop, rate), self._const(needed.last + 1 - rate))
        return self.graph.op("Max", start, self._const(0)), stop

    def scaled(self, position: str, rate: int, offset: int = 0) -> str:
        """position * rate + offset."""
        value = position if rate == 1 else self.graph.mul(position, self._const(rate))
        return value if offset == 0 else self.graph.add(value, self._const(offset))

    def cut(self, x: str, begin: str, start: str, stop: str, axis: int = TIME_AXIS) -> str:
        """Positions [start, stop) of x, which begins at `begin`."""
        bounds = self.graph.op("Sub", start, begin), self.graph.op("Sub", stop, begin)
        value: str = self.graph.op("Slice", x, *bounds, self._const(axis))
        return value

    def _const(self, value: int) -> str:
        return self.graph.const([value], np.int64)
