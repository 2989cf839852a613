"""The words of the five languages, and how the project's own pronunciation reads them.

Training reads a word as serving does, so that a symbol means the same sound in both.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from importlib.resources import files
from itertools import accumulate
from pathlib import Path

import numpy as np

from pipeline.errors import BundleError
from pipeline.text import korean
from pipeline.text.cantonese import jyutping_symbols, load_cantonese
from pipeline.text.english import load_english
from pipeline.text.english import number_words as english_number
from pipeline.text.english_context import contextual
from pipeline.text.inventory import JA_CONSONANTS, JA_VOWELS, KO_INITIALS, KO_VOWELS
from pipeline.text.japanese import load_japanese
from pipeline.text.japanese_dictionary import load_dictionary
from pipeline.text.kana import kana, kana_symbols
from pipeline.text.korean_rules import INITIALS, VOWELS, Syllable
from pipeline.text.mandarin import mandarin_symbols
from pipeline.text.mandarin import number_words as chinese_number
from pipeline.text.pronounce import spoken_pinyin
from pipeline.text.readings import known_syllables, reading_symbols
from pipeline.training.voice.ownership import Word
from pipeline.training.voice.word_source import Source, common_words, packed_table, sayable

_HANZI = re.compile(r"[\u4e00-\u9fff]+")
_LATIN = re.compile(r"[a-z]+(?:'[a-z]+)?")
_KATAKANA = re.compile("[ァ-ヺー]+")
_JA_COST_SCALE = 2500.0  # a word of a cost that is larger by this is said e times less often
_KO_WRITTEN_CODAS = ("", "", "", "", "", "", *"ㄱㄴㄴㄹㄹㅁㅂㅇㅇㅅㅆㄷㅈㅊㅋㅌㅍㅎㄶㄼㅄㄲㄺ")
_MAX_DIGITS = 8


def mandarin_source(sentences: Path | None) -> Source:
    words, weights = _jieba_words()
    cumulative = list(accumulate(weights))
    lines = _hanzi_runs(sentences) if sentences else []

    def read(written: list[str]) -> tuple[Word, ...]:
        return tuple(reading_symbols(syllable) for syllable in spoken_pinyin("".join(written)))

    def pick_rare(rng: random.Random) -> str:
        if lines and rng.random() < 0.6:
            return rng.choice(lines)
        return rng.choice(words) if rng.random() < 0.7 else _chinese_number(rng)

    drills = [mandarin_symbols(f"{base}{tone}") for base in sorted(known_syllables()) for tone in "12345"]
    drills += [(*word, "zh:er5") for word in drills if word[0] != "zh:er5" and not word[-1].startswith("zh:er")][::4]
    return Source(
        "zh", read, lambda rng: rng.choices(words, cum_weights=cumulative)[0], pick_rare, sayable(drills), "", 0.25
    )


def _chinese_number(rng: random.Random) -> str:
    return chinese_number(rng.randrange(10 ** rng.randrange(1, _MAX_DIGITS)))


def _jieba_words() -> tuple[list[str], list[float]]:
    """Words of up to four characters in jieba's dictionary (MIT), and how often to say them."""
    try:
        lines = (files("jieba") / "dict.txt").read_text("utf-8").splitlines()
    except ModuleNotFoundError as error:
        raise BundleError("The corpus takes its Mandarin words from jieba: pip install jieba.") from error
    rows = (line.split(" ") for line in lines)
    kept = [(row[0], float(row[1]) ** 0.55) for row in rows if float(row[1]) > 60 and len(row[0]) <= 4]
    kept = [(word, weight) for word, weight in kept if _HANZI.fullmatch(word)]
    return [word for word, _ in kept], [weight for _, weight in kept]


def _hanzi_runs(file: Path) -> list[str]:
    """Runs of three to fourteen hanzi; a mark inside a sentence ends a run, other signs are dropped."""
    text = re.sub(r"[▁\u200b ]", "", file.read_text("utf-8"))
    return [run for run in _HANZI.findall(text) if 3 <= len(run) <= 14]


def english_source() -> Source:
    common = common_words("en")
    rare = [word for word, _ in packed_table("english_words.txt.gz", " ") if _LATIN.fullmatch(word)]
    letters = [chr(code) for code in range(ord("A"), ord("Z") + 1)]
    english = load_english()

    def symbols(phones: Iterable[str]) -> Word:
        return tuple(f"en:{phone}" for phone in phones)

    def read(written: list[str]) -> tuple[Word, ...]:
        text = " ".join(written)
        given = {start: phones for start, _, phones in contextual(text)}
        words = ((match.start(), match.group()) for match in re.finditer(r"\S+", text))
        return tuple(symbols(given[k].split() if k in given else english.phones(word)) for k, word in words)

    def pick_rare(rng: random.Random) -> str:
        chance = rng.random()
        if chance < 0.8:
            return rng.choice(rare)
        if chance < 0.9:
            return english_number(rng.randrange(10 ** rng.randrange(1, 7)))
        return "".join(rng.choice(letters) for _ in range(rng.choice((1, 2, 3, 3, 4))))

    drills = [symbols(english.phones(word)) for word in rare[::7] + letters * 20]
    return Source("en", read, lambda rng: rng.choice(common), pick_rare, sayable(drills), " ", 0.5)


def japanese_source() -> Source:
    common = common_words("ja")
    morae = _japanese_morae()
    dictionary, reader = load_dictionary(), load_japanese()
    cumulative = np.cumsum(np.exp(-dictionary.costs / _JA_COST_SCALE))

    def pick_rare(rng: random.Random) -> str:
        """A word of the dictionary, as it sounds, or none that there is."""
        if rng.random() < 0.6:
            return dictionary.sound(int(np.searchsorted(cumulative, rng.random() * cumulative[-1]))) or "ア"
        return _invented_japanese(rng, morae)

    def read(written: list[str]) -> tuple[Word, ...]:
        return tuple(kana_symbols(word) if _KATAKANA.fullmatch(word) else hiragana(word) for word in written)

    def hiragana(word: str) -> Word:
        return tuple(symbol for part in reader.read(word) for symbol in kana_symbols(part.sound))

    drills = [*morae, *((*mora, "ja::") for mora in morae), *((*mora, "ja:N") for mora in morae)]
    drills += [(*first, "ja:Q", *second) for first, second in zip(morae[::3], morae, strict=False) if len(second) > 1]
    return Source("ja", read, lambda rng: rng.choice(common), pick_rare, sayable(drills), " ", 0.6)


def _invented_japanese(rng: random.Random, morae: Sequence[Word]) -> str:
    sounds: list[str] = []
    for _ in range(rng.choice((1, 2, 2, 3, 3, 4))):
        mora, chance = rng.choice(morae), rng.random()
        if sounds and chance < 0.08 and mora[0][3] in "kstcpgdbzj":
            sounds.append("ja:Q")
        sounds += mora
        if chance > 0.75:
            sounds.append("ja::" if chance > 0.88 else "ja:N")
    return kana(sounds)


def _japanese_morae() -> list[Word]:
    """Every consonant and vowel that kana can write."""
    morae: list[Word] = [(f"ja:{vowel}",) for vowel in JA_VOWELS]
    for consonant in JA_CONSONANTS:
        for vowel in JA_VOWELS:
            mora = (f"ja:{consonant}", f"ja:{vowel}")
            try:
                kana(mora)
            except ValueError:
                continue
            morae.append(mora)
    return morae


def korean_source() -> Source:
    common = common_words("ko")
    frequent = [char for word in common for char in word]

    def syllable(rng: random.Random) -> str:
        if rng.random() < 0.6:
            return rng.choice(frequent)
        return Syllable(rng.choice(INITIALS), rng.choice(VOWELS), rng.choice(_KO_WRITTEN_CODAS)).char

    def pick_rare(rng: random.Random) -> str:
        return "".join(syllable(rng) for _ in range(rng.choice((1, 2, 2, 3, 3, 4))))

    def read(written: list[str]) -> tuple[Word, ...]:
        spoken = "".join(korean.spoken(" ".join(written))).split(" ")
        return tuple(tuple(s for char in word for s in korean.syllable_symbols(char)) for word in spoken)

    plain = [(*([f"ko:{c}"] if c else []), f"ko:{v}") for c in KO_INITIALS for v in KO_VOWELS]
    codas = [f"ko:{coda}_" for coda in ("k", "n", "t", "l", "m", "p", "ng")]
    drills: list[Word] = [*plain, *((*word, codas[k % len(codas)]) for k, word in enumerate(plain))]
    return Source("ko", read, lambda rng: rng.choice(common), pick_rare, sayable(drills), " ", 0.5)


def cantonese_source() -> Source:
    common = common_words("yue")
    cantonese = load_cantonese()
    table = packed_table("cantonese.tsv.gz", "\t")
    rare = [word for word, _ in table if 2 <= len(word) <= 5]

    def pick_rare(rng: random.Random) -> str:
        return rng.choice(rare) if rng.random() < 0.85 else _chinese_number(rng)

    def read(written: list[str]) -> tuple[Word, ...]:
        return tuple(jyutping_symbols(syllable) for syllable in cantonese.read("".join(written)) if syllable)

    drills = sorted({jyutping_symbols(s) for _, reading in table for s in reading.split(" ")})
    return Source("yue", read, lambda rng: rng.choice(common), pick_rare, sayable(drills), "", 0.5)
