"""Chinese word segmentation: jieba's, loaded without its log lines and without its cache file."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import Protocol


class Segmenter(Protocol):
    def cut(self, sentence: str, cut_all: bool = False, HMM: bool = True) -> Iterator[str]:
        """Words in order; together they are the sentence."""
        ...


@lru_cache(maxsize=1)
def load_segmenter() -> Segmenter:
    """jieba's standard dictionary with its hidden Markov model for unknown words.

    The prefix dictionary is built in memory. jieba's own `initialize` keeps a marshal file in the shared temporary
    folder, which fails in a read-only container and would trust whatever another user left there.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pkg_resources and invalid escapes, on import
        import jieba

    segmenter = jieba.Tokenizer()
    segmenter.FREQ, segmenter.total = prefix_table((files("jieba") / "dict.txt").read_text("utf-8"))
    segmenter.initialized = True
    return segmenter  # type: ignore[no-any-return]


def prefix_table(dictionary: str) -> tuple[dict[str, int], int]:
    """Counts of all words, 0 for their mere prefixes, and the sum; from lines of word, count and part of speech.

    It equals jieba's `gen_pfdict` and takes two thirds of its time: a prefix that is there has its own prefixes.
    """
    fields = dictionary.split()
    words, counts = fields[0::3], [int(count) for count in fields[1::3]]
    table = dict(zip(words, counts, strict=True))
    for word in words:
        prefix = word[:-1]
        while prefix and prefix not in table:
            table[prefix] = 0
            prefix = prefix[:-1]
    return table, sum(counts)
