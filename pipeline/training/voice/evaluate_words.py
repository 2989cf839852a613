"""English heard by somebody else: pocketsphinx, which brings its own acoustic model, over a closed grammar.

It is an old recogniser of human speech, so only the difference between the voice and its teacher says something.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import soxr

from pipeline.errors import MissingExtra
from pipeline.training.voice.evaluate_distances import edit_path
from pipeline.types import I16

_RATE = 16000
_UNITS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]

Slot = tuple[str, ...]  # what may stand in one place
_NUMBER: Slot = (*_UNITS, *_TEENS, *_TENS, *(" ".join(pair) for pair in product(_TENS, _UNITS)))

TEMPLATES: tuple[tuple[Slot, ...], ...] = (
    (("turn", "switch"), ("on", "off"), ("the",), ("kitchen", "bedroom", "garden"), ("light", "radio", "heater")),
    (("set",), ("the",), ("volume", "temperature", "timer"), ("to",), _NUMBER),
    (("call", "send a message to"), ("my mother", "my brother", "the doctor", "the office")),
    (("open", "close", "lock"), ("the",), ("front", "back"), ("door", "window", "gate")),
    (("play", "stop", "repeat"), ("the",), ("next", "last", "first"), ("song", "story", "message")),
    (("take",), ("bus", "train"), ("number",), _NUMBER, ("to the",), ("station", "airport", "market", "school")),
    (("wake me at",), _NUMBER[:12], ("in the",), ("morning", "evening")),
    (("please",), ("read", "write", "find"), ("page", "line", "chapter"), _NUMBER, ("again", "now", "tomorrow")),
)


def closed_sentences(count: int, seed: int = 0) -> list[str]:
    """Different sentences of the grammar."""
    random = np.random.default_rng(seed)
    sentences: dict[str, None] = {}
    while len(sentences) < count:
        template = TEMPLATES[len(sentences) % len(TEMPLATES)]
        sentences[" ".join(slot[random.integers(len(slot))] for slot in template)] = None
    return list(sentences)


def grammar() -> str:
    """All that may be said, in Java Speech Grammar Format."""
    rules = [" ".join(f"({' | '.join(slot)})" for slot in template) for template in TEMPLATES]
    return "#JSGF V1.0;\ngrammar orders;\npublic <order> = " + " | ".join(f"({rule})" for rule in rules) + ";\n"


class WordListener:
    """Raises MissingExtra without pocketsphinx."""

    def __init__(self) -> None:
        try:
            import pocketsphinx
        except ImportError as error:
            raise MissingExtra("pocketsphinx is not installed: pip install 'cosyvoice-serve[train]'.") from error
        self._decoder: Any = pocketsphinx.Decoder(samprate=float(_RATE), lm=None, loglevel="FATAL")
        self._decoder.add_jsgf_string("orders", grammar())
        self._decoder.activate_search("orders")

    def __call__(self, samples: I16, sample_rate: int) -> list[str]:
        """The words heard, of the grammar's best sentence."""
        sound = soxr.resample(samples.astype(np.float32) / 32768, sample_rate, _RATE)
        self._decoder.start_utt()
        self._decoder.process_raw(np.rint(np.clip(sound, -1, 1) * 32767).astype(np.int16).tobytes(), False, True)
        self._decoder.end_utt()
        hypothesis = self._decoder.hyp()
        return hypothesis.hypstr.split() if hypothesis is not None else []


def word_error_rate(wanted: Sequence[str], heard: Sequence[Sequence[str]]) -> float:
    edits = sum(edit_path(want.split(), hear).num_edits for want, hear in zip(wanted, heard, strict=True))
    return edits / sum(len(want.split()) for want in wanted)
