"""Times the text frontend next to the plain way: jieba with its HMM, pypinyin, and wetext where it is installed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from itertools import islice, product
from statistics import median

from pipeline.bench.process import peak_rss_mb, run_alone
from pipeline.bench.table import Table, milliseconds, seconds
from pipeline.errors import InvalidRequest

PASSAGE_LENGTH = 500  # characters
NUM_WARM_UP = 20
MAX_REPEATS = 500

# What the times are of: sentences of 42 characters and texts of PASSAGE_LENGTH, each of them different.
_SENTENCE = "{name}在{month}月{day}日花了{price}元买了{count}张去{city}的票，顺便问了{thing}和GPU价格。"
_NAMES = ("小明", "老王", "张伟", "李娜", "陈晨", "赵敏", "刘洋", "杨柳")
_CITIES = ("重庆", "长沙", "乐山", "厦门", "成都", "西藏", "大连", "朝阳")
_THINGS = ("API", "USB", "CPU", "App", "NAS", "SSD")
_SENTENCES_PER_PASSAGE = 12

Read = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class TextFigures:
    """One way to prepare text; times are medians of texts that were never seen before, but for `again_ms`."""

    start_s: float  # from Python with numpy and ONNX Runtime to ready, first use included
    memory_mb: float  # largest resident memory beyond Python, numpy and ONNX Runtime
    sentence_ms: float  # 42 characters
    again_ms: float  # the same sentence again
    passage_ms: float  # 500 characters


def sentences() -> Iterator[str]:
    """Different sentences of 42 characters, with numbers, Latin letters and polyphones."""
    days = range(10, 29)
    for day, city, thing, name in product(days, _CITIES, _THINGS, _NAMES):
        price = f"{day + 17}.5{day % 10}"
        yield _SENTENCE.format(
            name=name, month=10 + day % 3, day=day, price=price, count=day + 30, city=city, thing=thing
        )


def passages() -> Iterator[str]:
    """Different texts of PASSAGE_LENGTH characters, from sentences after the first MAX_REPEATS and the warm-up's."""
    source = islice(sentences(), MAX_REPEATS + NUM_WARM_UP + 1, None)
    while len(text := "".join(islice(source, _SENTENCES_PER_PASSAGE))) >= PASSAGE_LENGTH:
        yield text[:PASSAGE_LENGTH]


def measure_product(repeats: int) -> dict[str, float]:
    """The whole frontend of the bundled voice, from request to token ids. Runs in a process of its own."""

    def start() -> Read:
        from pipeline.build import build_frontend, open_bundle
        from pipeline.config import ServiceConfig, TextConfig
        from pipeline.types import SpeechRequest

        config = ServiceConfig(text=TextConfig(lexicon=None))
        bundle = open_bundle(config.model)
        frontend = build_frontend(config, bundle)
        frontend.warm_up()
        voice = bundle.manifest.voices[0]
        return lambda text: frontend.prepare(SpeechRequest(text, voice, seed=1))

    return _measure(start, repeats)


def measure_plain(repeats: int) -> dict[str, float]:
    """Normalizer, segmenter and pinyin as their READMEs call them. Runs in a process of its own."""

    def start() -> Read:
        jieba, pypinyin = import_module("jieba"), import_module("pypinyin")
        normalize: Callable[[str], str] = str
        if has_wetext():
            normalize = import_module("wetext").Normalizer(lang="zh", operator="tn").normalize
        style = pypinyin.Style.TONE3

        def read(text: str) -> object:
            return [pypinyin.lazy_pinyin(word, style=style) for word in jieba.cut(normalize(text))]

        read(next(sentences()))
        return read

    return _measure(start, repeats)


def has_wetext() -> bool:
    return find_spec("wetext") is not None


def _measure(start: Callable[[], Read], repeats: int) -> dict[str, float]:
    for module in ("numpy", "onnxruntime"):
        import_module(module)
    memory_mb, started_s = peak_rss_mb(), time.perf_counter()
    read = start()
    start_s = time.perf_counter() - started_s
    source = sentences()
    for _ in range(NUM_WARM_UP):
        read(next(source))
    again = next(source)
    figures = TextFigures(
        start_s=start_s,
        sentence_ms=_median_ms(read, list(islice(source, repeats))),
        again_ms=_median_ms(read, [again] * repeats),
        passage_ms=_median_ms(read, list(islice(passages(), repeats))),
        memory_mb=peak_rss_mb() - memory_mb,
    )
    return asdict(figures)


def _median_ms(read: Read, texts: Sequence[str]) -> float:
    times_s: list[float] = []
    for text in texts:
        started_s = time.perf_counter()
        read(text)
        times_s.append(time.perf_counter() - started_s)
    return 1e3 * median(times_s)


def run_text_bench(repeats: int) -> Table:
    """Measures both ways, one after the other. Raises InvalidRequest for `repeats` out of range."""
    if not 1 <= repeats <= MAX_REPEATS:
        raise InvalidRequest(f"{repeats} repeats are out of range: 1 to {MAX_REPEATS}.")
    plain_name = (
        "wetext, jieba with HMM, pypinyin" if has_wetext() else "jieba with HMM, pypinyin (no wetext installed)"
    )
    measured = {
        "text frontend, to token ids": TextFigures(**run_alone("text:measure_product", repeats=repeats)),
        plain_name: TextFigures(**run_alone("text:measure_plain", repeats=repeats)),
    }
    header = ["", "start s", "memory MB", "42 characters ms", "the same again ms", f"{PASSAGE_LENGTH} characters ms"]
    return Table("Text", header, [_row(name, figures) for name, figures in measured.items()])


def _row(name: str, figures: TextFigures) -> list[str]:
    times = (figures.sentence_ms, figures.again_ms, figures.passage_ms)
    return [name, seconds(figures.start_s), f"{figures.memory_mb:.0f}", *map(milliseconds, times)]
