"""English endings and beginnings that are added to a known word without moving its stress."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

Phones = tuple[str, ...]

_SIBILANTS = frozenset(("S", "Z", "SH", "ZH", "CH", "JH"))
_VOICELESS = frozenset(("P", "T", "K", "F", "TH"))
_VOWEL_LETTERS = frozenset("aeiouy")
_MIN_STEM = 3


def plural(phones: Phones) -> Phones:
    """The word with the s of plurals and possessives: cats, dogs, boxes."""
    if phones[-1] in _SIBILANTS:
        return (*phones, "IH0", "Z")
    return (*phones, "S" if phones[-1] in _VOICELESS else "Z")


def past(phones: Phones) -> Phones:
    """asked, played, wanted."""
    if phones[-1] in ("T", "D"):
        return (*phones, "IH0", "D")
    return (*phones, "T" if phones[-1] in _VOICELESS or phones[-1] in ("S", "SH", "CH") else "D")


@dataclass(frozen=True, slots=True)
class Ending:
    """`phones` are said after the stem; None stands for the s or d whose sound depends on it."""

    letters: str
    phones: Phones | None

    def stems(self, word: str) -> Iterator[str]:
        """Words that may have got this ending: hoped from hope, stopped from stop, tried from try."""
        stem = word[: -len(self.letters)]
        if not word.endswith(self.letters) or len(stem) < _MIN_STEM:
            return
        if (self.letters == "s" and stem[-1] in "su") or (self.letters == "y" and stem[-1] in _VOWEL_LETTERS):
            return
        yield stem
        if self.letters[0] in _VOWEL_LETTERS:
            yield stem + "e"
            if stem[-1] == stem[-2] and stem[-1] not in _VOWEL_LETTERS:
                yield stem[:-1]
        if stem[-1] == "i":
            yield stem[:-1] + "y"

    def join(self, phones: Phones) -> Phones | None:
        """None where the ending is not said so after this stem: paloma-es."""
        if self.letters == "es" and phones[-1] not in _SIBILANTS and phones[-1][:2] not in ("OW", "IY"):
            return None
        if self.phones is None:
            return past(phones) if self.letters == "ed" else plural(phones)
        return phones[:-1] + self.phones if phones[-1] == self.phones[0] else phones + self.phones


ENDINGS = (
    Ending("es", None),
    Ending("s", None),
    Ending("ed", None),
    Ending("ing", ("IH0", "NG")),
    Ending("ings", ("IH0", "NG", "Z")),
    Ending("ly", ("L", "IY0")),
    Ending("er", ("ER0",)),
    Ending("ers", ("ER0", "Z")),
    Ending("est", ("AH0", "S", "T")),
    Ending("ness", ("N", "AH0", "S")),
    Ending("less", ("L", "AH0", "S")),
    Ending("ful", ("F", "AH0", "L")),
    Ending("fully", ("F", "AH0", "L", "IY0")),
    Ending("able", ("AH0", "B", "AH0", "L")),
    Ending("ish", ("IH0", "SH")),
    Ending("ism", ("IH2", "Z", "AH0", "M")),
    Ending("ist", ("IH0", "S", "T")),
    Ending("ment", ("M", "AH0", "N", "T")),
    Ending("ship", ("SH", "IH2", "P")),
    Ending("hood", ("HH", "UH2", "D")),
    Ending("like", ("L", "AY2", "K")),
    Ending("wise", ("W", "AY2", "Z")),
    Ending("ability", ("AH0", "B", "IH2", "L", "AH0", "T", "IY0")),
    Ending("y", ("IY0",)),
)
BEGINNINGS: dict[str, Phones] = {
    "un": ("AH2", "N"),
    "re": ("R", "IY2"),
    "non": ("N", "AA2", "N"),
    "pre": ("P", "R", "IY2"),
    "anti": ("AE2", "N", "T", "IY0"),
    "over": ("OW2", "V", "ER0"),
    "under": ("AH2", "N", "D", "ER0"),
    "super": ("S", "UW2", "P", "ER0"),
    "multi": ("M", "AH2", "L", "T", "IY0"),
    "micro": ("M", "AY2", "K", "R", "OW0"),
    "mini": ("M", "IH2", "N", "IY0"),
    "sub": ("S", "AH2", "B"),
    "inter": ("IH2", "N", "T", "ER0"),
    "mis": ("M", "IH2", "S"),
    "dis": ("D", "IH2", "S"),
    "auto": ("AO2", "T", "OW0"),
    "hyper": ("HH", "AY2", "P", "ER0"),
    "cyber": ("S", "AY2", "B", "ER0"),
    "neuro": ("N", "UH2", "R", "OW0"),
    "nano": ("N", "AE2", "N", "OW0"),
    "semi": ("S", "EH2", "M", "IY0"),
    "out": ("AW2", "T"),
}
