"""Writes the compact Japanese dictionary from the compiled one of OpenJTalk that pyopenjtalk-plus holds.

pip download --no-deps pyopenjtalk-plus==0.4.1.post7    # and unpack the wheel: pyopenjtalk/dictionary
"""

from __future__ import annotations

import re
import struct
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.text.kana import katakana

_HEADER = struct.Struct("<10I")  # of MeCab's sys.dic: magic, version, type, entries, left, right, and three sizes
_CHARSET_SIZE = 32
_TOKEN = np.dtype(
    [("left", "<u2"), ("right", "<u2"), ("part", "<u2"), ("cost", "<i2"), ("feature", "<u4"), ("x", "<u4")]
)
_WRITTEN = re.compile("[々〇ぁ-ゖァ-ヴヶ一-鿿㐀-䶿]+")
_SOUND = re.compile("[ァ-ヴー]+")
_KATAKANA = re.compile("[ァ-ヴ]+")
_HIRAGANA = re.compile("[ぁ-ゖ]+")
_RARE_FORMS = re.compile(
    "仮定縮約|ガル接続|体言接続特殊|文語基本形|命令ｉ|連用ゴザイ|未然特殊|現代基本形|基本形-促音便"
)
_MAX_LENGTH = 8
_MAX_NAME_LENGTH = {
    "人名,一般": 3,
    "一般,*": 4,
    "組織,*": 4,
    "地域,一般": 4,
}  # of proper nouns; longer ones are put together
_MAX_HIRAGANA = 5  # of verbs and adjectives
_PARTED = ("名詞,固有名詞,地域", "名詞,固有名詞,一般", "名詞,一般", "名詞,サ変")
_MIN_PARTED = 4
_USED_BY_CODE = (0, 1345, 1355, 1360)  # edge, noun, numeral, counter
_FIRST_KANA = 0x30A0


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    surface: str
    kind: int  # MeCab's context id, the same on both sides
    cost: int
    sound: str
    part: str  # four levels of the part of speech
    form: str


def write_japanese(dictionary: Path, file: Path) -> None:
    """Args: the folder with sys.dic and matrix.bin; the .npz to write."""
    entries = sorted(_without_slips(_without_joined(_chosen(read_entries(dictionary / "sys.dic")))))
    kinds = sorted({entry.kind for entry in entries}.union(_USED_BY_CODE))
    number = {kind: k for k, kind in enumerate(kinds)}
    matrix = np.fromfile(dictionary / "matrix.bin", np.int16)
    connection = matrix[2:].reshape(int(matrix[1]), int(matrix[0]))[np.ix_(kinds, kinds)]
    surfaces = list(dict.fromkeys(entry.surface for entry in entries))
    counts = Counter(entry.surface for entry in entries)
    np.savez_compressed(
        file,
        surfaces=np.frombuffer("".join(surfaces).encode("utf-16-le"), np.uint16),
        lengths=np.array([len(surface) for surface in surfaces], np.uint8),
        counts=np.array([counts[surface] for surface in surfaces], np.uint8),
        classes=np.array([number[entry.kind] for entry in entries], np.uint16),
        costs=np.array([entry.cost for entry in entries], np.int16),
        sounds=np.array([ord(kana) - _FIRST_KANA for entry in entries for kana in entry.sound], np.uint8),
        sound_lengths=np.array([len(entry.sound) for entry in entries], np.uint8),
        connection=connection,
    )


def read_entries(file: Path) -> Iterator[Entry]:
    """The entries of MeCab's compiled dictionary."""
    data = file.read_bytes()
    *_, trie_size, tokens_size, features_size, _ = _HEADER.unpack_from(data)
    start = _HEADER.size + _CHARSET_SIZE
    trie = np.frombuffer(data, np.int32, trie_size // 4, start).reshape(-1, 2)
    tokens = np.frombuffer(data, _TOKEN, tokens_size // _TOKEN.itemsize, start + trie_size)
    features = data[start + trie_size + tokens_size :][:features_size]
    for key, value in _keys(trie):
        for token in tokens[value >> 8 : (value >> 8) + (value & 0xFF)]:
            at = int(token["feature"])
            fields = features[at : features.index(b"\0", at)].decode().split(",")
            sound = fields[8].replace("’", "").replace("・", "")
            yield Entry(key.decode(), int(token["left"]), int(token["cost"]), sound, ",".join(fields[:4]), fields[5])


def _keys(trie: NDArray[np.int32]) -> Iterator[tuple[bytes, int]]:
    """Keys and values of Darts' double array: i32 [N, 2], base and check."""
    base, check = trie[:, 0], trie[:, 1].view(np.uint32).astype(np.int64)
    order = np.argsort(check, kind="stable")
    parents = check[order]
    stack = [(int(base[0]), b"")]
    while stack:
        node, key = stack.pop()
        low, high = np.searchsorted(parents, np.array([node, node + 1]))
        for place in order[low:high].tolist():
            byte = place - node - 1
            if byte == -1 and base[place] < 0:
                yield key, -int(base[place]) - 1
            elif 0 <= byte < 256 and place and base[place]:
                stack.append((int(base[place]), key + bytes([byte])))


def _chosen(entries: Iterator[Entry]) -> list[Entry]:
    """Words in kana and kanji, the cheapest of each surface and context."""
    best: dict[tuple[str, int], Entry] = {}
    for entry in entries:
        key = (entry.surface, entry.kind)
        if _is_wanted(entry) and (key not in best or entry.cost < best[key].cost):
            best[key] = entry
    return list(best.values())


def _is_wanted(entry: Entry) -> bool:
    length = len(entry.surface)
    proper = entry.part.removeprefix("名詞,固有名詞,")
    return (
        _WRITTEN.fullmatch(entry.surface) is not None
        and _SOUND.fullmatch(entry.sound) is not None
        and not entry.part.startswith(("記号", "フィラー"))
        and not (entry.part.startswith("名詞") and _KATAKANA.fullmatch(entry.surface))
        and not _RARE_FORMS.search(entry.form)
        and length <= _MAX_LENGTH
        and (proper == entry.part or length <= _MAX_NAME_LENGTH.get(proper, length))
    )


def _without_joined(entries: Sequence[Entry]) -> list[Entry]:
    """Leaves out long words that sound like the two shorter ones they are made of."""
    cheapest: dict[str, Entry] = {}
    for entry in entries:
        if entry.surface not in cheapest or entry.cost < cheapest[entry.surface].cost:
            cheapest[entry.surface] = entry
    sounds = {surface: entry.sound for surface, entry in cheapest.items()}
    by_kind = {(entry.surface, entry.kind): entry.sound for entry in entries}
    return [entry for entry in entries if not _is_joined(entry, sounds, by_kind)]


def _is_joined(entry: Entry, sounds: Mapping[str, str], by_kind: Mapping[tuple[str, int], str]) -> bool:
    surface = entry.surface
    is_verb = entry.part.startswith("動詞")
    if (
        entry.part in ("動詞,自立,*,*", "形容詞,自立,*,*")
        and _HIRAGANA.fullmatch(surface)
        and len(surface) > _MAX_HIRAGANA
    ):
        return True
    if len(surface) < _MIN_PARTED or not (is_verb or entry.part.startswith(_PARTED)):
        return False
    for cut in range(2, len(surface) - 1):
        tail = by_kind.get((surface[cut:], entry.kind)) if is_verb else sounds.get(surface[cut:])
        if tail is not None and sounds.get(surface[:cut], "-") + tail == entry.sound:
            return True
    return False


def _without_slips(entries: Sequence[Entry]) -> list[Entry]:
    """Leaves out 晴れ read ハレレ, and verbs without their ending, 晴 read ハレ, where the right form is there too."""
    sounds: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        sounds[entry.surface].add(entry.sound)
    kept = [entry for entry in entries if not _is_doubled(entry, sounds[entry.surface])]
    by_kind = {(entry.surface, entry.kind): entry.sound for entry in kept}
    return [entry for entry in kept if not _lacks_ending(entry, by_kind)]


def _is_doubled(entry: Entry, sounds: set[str]) -> bool:
    surface, sound = entry.surface, entry.sound
    return (
        entry.part.startswith(("動詞", "形容詞"))
        and len(sound) > 2
        and sound[-1] == sound[-2] == katakana(surface[-1])
        and sound[:-1] in sounds
        and surface[-2:-1] != surface[-1]
    )


def _lacks_ending(entry: Entry, by_kind: Mapping[tuple[str, int], str]) -> bool:
    if not entry.part.startswith("動詞") or _HIRAGANA.fullmatch(entry.surface[-1]):
        return False
    endings = (entry.sound[-size:] for size in (1, 2) if len(entry.sound) > size)
    full = (
        entry.surface + "".join(chr(ord(kana) - 0x60) for kana in ending) for ending in endings if "ー" not in ending
    )
    return any(by_kind.get((surface, entry.kind)) == entry.sound for surface in full)
