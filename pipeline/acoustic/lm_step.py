"""A run of the LM's decoder over a range of KV slots, with everything that it reads and writes bound in place."""

from __future__ import annotations

import numpy as np

from pipeline.acoustic.kv_cache import KVCache
from pipeline.acoustic.lm_tables import LMTables
from pipeline.runtime.bundle import LMSpec
from pipeline.runtime.session import Session
from pipeline.types import F32, I64


class LMStep:
    """Inputs are written to its arrays before each run."""

    def __init__(self, session: Session, num_sequences: int, width: int, spec: LMSpec, table_size: int) -> None:
        self.hidden: F32 = np.empty((num_sequences, width, spec.hidden_size), np.float32)
        self.past_length: I64 = np.zeros(num_sequences, np.int64)
        self.length: I64 = np.zeros(num_sequences, np.int64)
        self.table_size = table_size
        self._logits: F32 = np.empty((num_sequences, spec.num_speech_tokens + 1), np.float32)
        self._binding = session.bind()
        self._binding.input("hidden", self.hidden)
        self._binding.input("past_length", self.past_length)
        self._binding.input("length", self.length)
        self._binding.output("logits", self._logits)

    def bind_tables(self, tables: LMTables) -> None:
        for index, table in enumerate(tables.relative(self.table_size)):
            self._binding.input(f"relative.{index}", table)

    def bind_cache(self, cache: KVCache, first_slot: int) -> None:
        slots = slice(first_slot, first_slot + len(self.hidden))
        for kind, buffers in (("key", cache.keys), ("value", cache.values)):
            for index, buffer in enumerate(buffers):
                self._binding.input(f"past_{kind}.{index}", buffer[slots])
                self._binding.output(f"present_{kind}.{index}", buffer[slots])

    def run(self) -> F32:
        """The logits, which the next run overwrites."""
        self._binding.run()
        return self._logits
