"""How the teacher is told each language's sounds, and which symbol each phone that it speaks belongs to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pipeline.training.voice.notation_phonemes import TRANSITIONS, english_phonemes, japanese_phonemes, korean_phonemes
from pipeline.training.voice.notation_syllables import SYLLABLE_END, own_syllables, write_cantonese, write_mandarin
from pipeline.training.voice.ownership import Owners, Word, share_out, sound


@dataclass(frozen=True, slots=True)
class Notation:
    """One language of the teacher.

    Args:
        voice: espeak-ng's name.
        pitch, pitch_range: espeak's parameters; they bring the languages to one height, and make tones wide.
        write: words -> text for the teacher.
        owners: words, names of the phones spoken -> owners; None if they do not fit.
        boundaries: events that end a syllable and are no sounds.
        silent: events without any sound of their own.
    """

    voice: str
    pitch: int
    pitch_range: int
    write: Callable[[Sequence[Word]], str]
    owners: Callable[[Sequence[Word], Sequence[str]], Owners | None]
    boundaries: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()


def _phoneme_notation(
    voice: str, pitch: int, pitch_range: int, phonemes: Callable[[Sequence[str]], list[str]]
) -> Notation:
    def write(words: Sequence[Word]) -> str:
        each = iter(phonemes(_sounds(words)))
        spelled = ("|".join(filter(None, (next(each) for _ in word))) for word in words)
        return "[[" + " ".join(filter(None, spelled)) + "]]"

    def owners(words: Sequence[Word], phones: Sequence[str]) -> Owners | None:
        return share_out(
            [phoneme.count("|") + 1 if phoneme else 0 for phoneme in phonemes(_sounds(words))], len(phones)
        )

    return Notation(voice, pitch, pitch_range, write, owners, silent=TRANSITIONS)


def _sounds(words: Sequence[Word]) -> list[str]:
    return [sound(symbol) for word in words for symbol in word]


NOTATIONS = {
    "zh": Notation("cmn-latn-pinyin", 50, 85, write_mandarin, own_syllables, frozenset({SYLLABLE_END}), TRANSITIONS),
    "en": _phoneme_notation("en-us", 42, 50, english_phonemes),
    "ja": _phoneme_notation("ja", 38, 75, japanese_phonemes),
    "ko": _phoneme_notation("ko", 42, 60, korean_phonemes),
    "yue": Notation("yue-latn-jyutping", 53, 85, write_cantonese, own_syllables, frozenset({SYLLABLE_END})),
}
