"""What is spoken while measuring: texts of a given length, and a fixed number of speech tokens for them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

from pipeline.build import build_frontend, open_bundle
from pipeline.config import ModelConfig, Operators, ServiceConfig, TextConfig
from pipeline.runtime.bundle import MANIFEST, Bundle, Manifest
from pipeline.types import SpeechRequest, Utterance

SENTENCE = "明天下午3点的会议改到Room 205，请带上你的laptop和最新季度报告，谢谢。"  # 42 characters, mixed
PASSAGE = (
    "人们常说，语音是最自然的交流方式。清晨的公园里，老人们一边散步一边聊天，孩子们在草地上追着风筝奔跑。"
    "远处的湖面上，几只小船慢慢地划过，留下长长的水纹。到了中午，街边的小店开始热闹起来，"
    "热气腾腾的面条和刚出锅的包子吸引着过路的行人。傍晚的时候，天空被染成了橙红色，下班的人们匆匆赶回家。"
)
CHARACTERS_PER_S = 4.5  # of spoken Mandarin


class Piece(TypedDict):
    """One utterance of a text, and how many speech tokens it shall have. Plain values, for another process."""

    text_ids: list[int]
    num_tokens: int


def open_served(bundle: str, operators: Operators = "auto") -> Bundle:
    """As the product opens it, with what was prepared of it for this machine."""
    return open_bundle(ModelConfig(bundle=bundle, operators=operators))


def text_of(duration_s: float) -> str:
    """A Chinese text that takes about this long to speak."""
    length = max(2, round(duration_s * CHARACTERS_PER_S))
    return (PASSAGE * (length // len(PASSAGE) + 1))[: length - 1] + "。"


def renumbered(text: str, index: int) -> str:
    """The text with its digits counted up by `index`: as long, but new to every cache."""
    return "".join(str((int(char) + index) % 10) if char in "0123456789" else char for char in text)


def num_speech_tokens(bundle: Bundle, duration_s: float) -> int:
    return max(1, round(duration_s * bundle.manifest.token_rate))


def utterances_of(bundle: Bundle, text: str) -> list[Utterance]:
    frontend = build_frontend(offline_config(bundle), bundle)
    return frontend.prepare(request_for(bundle, text))


def pieces_of(bundle: Bundle, text: str, duration_s: float) -> list[Piece]:
    """What the frontend makes of the text; its pieces share this many seconds of speech in proportion to their text."""
    utterances = utterances_of(bundle, text)
    rate = _tokens_per_text_token(bundle, utterances, duration_s)
    return [
        Piece(text_ids=list(utterance.text_ids), num_tokens=int(rate * len(utterance.text_ids)))
        for utterance in utterances
    ]


def _tokens_per_text_token(bundle: Bundle, utterances: Sequence[Utterance], duration_s: float) -> float:
    num_text = sum(len(utterance.text_ids) for utterance in utterances)
    return (num_speech_tokens(bundle, duration_s) + 0.5) / num_text  # the number of tokens is rounded down


def request_for(bundle: Bundle, text: str, seed: int = 0) -> SpeechRequest:
    return SpeechRequest(text, bundle.manifest.voices[0], seed=seed)


def offline_config(bundle: Bundle) -> ServiceConfig:
    """The product's defaults with this bundle, without the user's own lexicon."""
    prepared = str(bundle.prepared_in[0]) if bundle.prepared_in else None
    model = {"bundle": str(bundle.path), "prepared": prepared}
    return ServiceConfig.model_validate({"model": model, "text": TextConfig(lexicon=None)})


@contextmanager
def of_fixed_length(bundle: Bundle, utterances: Sequence[Utterance], duration_s: float) -> Iterator[Bundle]:
    """The same bundle, but the utterances together get this many seconds of speech, whatever the model says.

    Random weights end an utterance at random. The manifest bounds the speech tokens per text token from both sides;
    here both bounds are one number.
    """
    rate = _tokens_per_text_token(bundle, utterances, duration_s)
    lm = bundle.manifest.lm.model_copy(update={"min_speech_per_text": rate, "max_speech_per_text": rate})
    with relinked(bundle, bundle.manifest.model_copy(update={"lm": lm})) as folder:
        yield Bundle.open(folder, bundle.prepared_in)


@contextmanager
def relinked(bundle: Bundle, manifest: Manifest) -> Iterator[Path]:
    """A folder beside the bundle with another manifest. The files are hard links, so this takes no space."""
    with tempfile.TemporaryDirectory(prefix=".relinked-", dir=bundle.path.parent) as name:
        folder = Path(name)
        for file in manifest.files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            os.link(bundle.path / file, folder / file)
        (folder / MANIFEST).write_text(manifest.model_dump_json(), "utf-8")
        yield folder
