"""Chinese word segmentation: jieba's, loaded without its log lines and without its cache file."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import lru_cache
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
    segmenter.FREQ, segmenter.total = segmenter.gen_pfdict(segmenter.get_dict_file())
    segmenter.initialized = True
    return segmenter  # type: ignore[no-any-return]
