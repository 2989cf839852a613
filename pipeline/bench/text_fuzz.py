"""Random Unicode strings through the whole text frontend: `python -m pipeline.bench.text_fuzz 1000000`.

A call may take MAX_S_PER_CHARACTER of this thread's CPU time for each character, at least for SHORTEST of them: what
a call costs however short its text is (a run of the model, five grammars) is not counted against ten characters.
"""

from __future__ import annotations

import argparse
import random
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from pipeline.build import build_frontend, open_bundle
from pipeline.config import ServiceConfig, TextConfig
from pipeline.errors import TTSError
from pipeline.types import SpeechRequest

MAX_S_PER_CHARACTER = 50e-6
SHORTEST = 100  # characters
NUM_TRIES = 3  # of a call above its limit, which may have met another process's caches: the fastest counts
LONG_SHARE = 0.03
MAX_LENGTH = 1000
LANGUAGES = (None, "zh", "en", "ja", "ko", "yue")
_REPORT_EVERY = 50_000

_ALPHABETS = (
    "0123456789",
    "0123456789.,:-/%~+ ",
    "abXYZ019@._-/:?=&#%",
    "今天年月日点分元个第号2024:.-/至到¥$(（",
    "\u0000\u200b\ufe0f\u20e3😀👍🏻👨‍👩\ud83d",
    "あいうカタ漢字ー〜東京大学を三つ",
    "한국어시개漢字を",
    "嘅咗哋喺佢唔點萬兩係",
    "不一了来去的儿子头们看好长重行都得地着还没为中大小上下，。",
    "+-×÷=<>≤≥²³√₂^*_`[]()|#~!\\",
    "IVXLⅣⅨ①½℃㎡№㍿",
    "Dr. Mr. e.g. U.S. St. p.m. read the record iPhone café ",
    "。！？…，、；：“”「」（）\"' \n\t\r",
    "[pause:500ms][/]<break time='1s'/><speak></sub>&amp;",
)
_EVERYTHING = "".join(_ALPHABETS)


@dataclass(slots=True)
class FuzzReport:
    """`slow` counts calls above their limit, `worst` is the largest share of its limit that a call took."""

    num_strings: int = 0
    num_refused: int = 0  # by an error that names the reason
    failures: list[str] = field(default_factory=list)
    slow: list[tuple[float, str]] = field(default_factory=list)
    worst: tuple[float, str] = (0.0, "")

    def __str__(self) -> str:
        share, text = self.worst
        lines = [
            f"{self.num_strings} strings, {self.num_refused} refused with a reason, {len(self.failures)} exceptions, "
            f"{len(self.slow)} above the limit; the worst took {share:.0%} of it: {text[:60]!a} ({len(text)} long)"
        ]
        return "\n".join([*lines, *self.failures[:5], *(f"{s:.0%} {t[:80]!a} ({len(t)})" for s, t in self.slow[:20])])


def random_text(rng: random.Random) -> str:
    """Mostly 1 to 60 characters, some up to MAX_LENGTH: any code points, one alphabet, all of them, or a repetition."""
    length = rng.randint(100, MAX_LENGTH) if rng.random() < LONG_SHARE else rng.randint(1, 60)
    kind = rng.random()
    if kind < 0.3:
        ends = (0x110000, 0x3000, 0x80)
        return "".join(chr(rng.randrange(rng.choice(ends))) for _ in range(length))
    if kind < 0.85:
        return "".join(rng.choices(rng.choice(_ALPHABETS) if kind < 0.5 else _EVERYTHING, k=length))
    unit = "".join(rng.choices(_EVERYTHING, k=rng.randint(1, 6)))
    return (unit * length)[:length]


def fuzz(num_strings: int, seed: int, report: Callable[[FuzzReport], None] = print) -> FuzzReport:
    """Prepares random requests with the bundled voice, one after the other."""
    rng, result = random.Random(seed), FuzzReport()
    config = ServiceConfig(text=TextConfig(lexicon=None))
    bundle = open_bundle(config.model)
    frontend = build_frontend(config, bundle)
    frontend.warm_up()
    voice = bundle.manifest.voices[0]
    for _ in range(num_strings):
        text = random_text(rng)
        request = SpeechRequest(text, voice, seed=1, language=rng.choice(LANGUAGES))
        _try(partial(frontend.prepare, request), text, result)
        result.num_strings += 1
        if result.num_strings % _REPORT_EVERY == 0:
            report(result)
    return result


def _try(call: Callable[[], object], text: str, result: FuzzReport) -> None:
    limit_s = MAX_S_PER_CHARACTER * max(len(text), SHORTEST)
    fastest_s, is_refused = float("inf"), False
    for _ in range(NUM_TRIES):
        started_s = time.thread_time()
        try:
            call()
        except TTSError:
            is_refused = True
        except Exception:
            result.failures.append(f"{text!a}\n{traceback.format_exc(limit=-4)}")
            return
        fastest_s = min(fastest_s, time.thread_time() - started_s)
        if fastest_s <= limit_s:
            break
    result.num_refused += is_refused
    result.worst = max(result.worst, (fastest_s / limit_s, text))
    if fastest_s > limit_s:
        result.slow.append((fastest_s / limit_s, text))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m pipeline.bench.text_fuzz", description=__doc__)
    parser.add_argument("count", type=int, help="how many strings")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    result = fuzz(options.count, options.seed, lambda found: print(found, flush=True))
    print(result)
    return 1 if result.failures or result.slow else 0


if __name__ == "__main__":
    raise SystemExit(main())
