"""The teacher's voice: libespeak-ng through ctypes, audio together with the sample at which every phone starts.

Needs the shared library and its data (Debian: `apt install libespeak-ng1 espeak-ng-data`); only training does.
"""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from pipeline.errors import BundleError
from pipeline.types import I16

LIBRARY = "libespeak-ng.so.1"
SAMPLE_RATE = 22050
WORD = "#"  # stands before the first phone of each word

# speak_lib.h of espeak-ng 1.51
_SYNCHRONOUS_RETRIEVAL = 2
_PHONEME_EVENTS = 1
_EVENT_END, _EVENT_WORD, _EVENT_PHONEME = 0, 1, 7
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_UTF8_WITH_PHONEMES = 1 | 0x100
_CHARACTER_POSITIONS = 1


class _Id(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    )


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


@dataclass(frozen=True, slots=True)
class Recording:
    """Audio and its events: (sample, mnemonic) in order; pauses begin with `_`, words with `WORD`."""

    samples: I16
    events: list[tuple[int, str]]


class Espeak:
    """Speaks with the library's voices and some variants of them.

    Args:
        variants: names of voice variants and their definitions (espeak-ng docs/voices.md), added to the library's own.
    """

    def __init__(self, variants: Mapping[str, str]) -> None:
        self._library = _open_library()
        self._library.add(variants)

    def speak(self, text: str, voice: str, *, rate: int, pitch: int, pitch_range: int, volume: int) -> Recording:
        """Speaks text, or phonemes between `[[` and `]]`, with e.g. the voice `ja+variant`; rate in words a minute."""
        return self._library.speak(text, voice, {_RATE: rate, _VOLUME: volume, _PITCH: pitch, _RANGE: pitch_range})


class _Library:
    """The loaded library, whose state is global: initialised a second time, or ended, it may wait forever."""

    def __init__(self) -> None:
        try:
            self._functions = ctypes.CDLL(LIBRARY)
        except OSError as error:
            raise BundleError(f"{LIBRARY} is missing: apt install libespeak-ng1 espeak-ng-data.") from error
        self._home = tempfile.TemporaryDirectory(prefix="espeak-")
        self._variants = _link_data(self._data_folder(), Path(self._home.name))
        home = os.fsencode(self._home.name)
        rate = self._functions.espeak_Initialize(_SYNCHRONOUS_RETRIEVAL, 0, home, _PHONEME_EVENTS)
        if rate != SAMPLE_RATE:
            raise BundleError(f"espeak-ng starts at {rate} Hz instead of {SAMPLE_RATE}: install espeak-ng-data.")
        self._samples: list[I16] = []
        self._events: list[tuple[int, str]] = []
        self._callback = _CALLBACK(self._collect)
        self._functions.espeak_SetSynthCallback(self._callback)
        self._voice = ""

    def add(self, variants: Mapping[str, str]) -> None:
        for name, definition in variants.items():
            (self._variants / name).write_text(definition, "utf-8")
        self._voice = ""

    def speak(self, text: str, voice: str, parameters: Mapping[int, int]) -> Recording:
        if voice != self._voice:
            if self._functions.espeak_SetVoiceByName(voice.encode()) != 0:
                raise BundleError(f"espeak-ng has no voice {voice!r}: install espeak-ng-data 1.51 or newer.")
            self._voice = voice
        for parameter, value in parameters.items():
            self._functions.espeak_SetParameter(parameter, value, 0)
        self._samples, self._events = [], []
        data = text.encode() + b"\0"
        self._functions.espeak_Synth(
            data, ctypes.c_size_t(len(data)), 0, _CHARACTER_POSITIONS, 0, _UTF8_WITH_PHONEMES, None, None
        )
        samples = np.concatenate(self._samples) if self._samples else np.zeros(0, np.int16)
        return Recording(samples, self._events)

    def _data_folder(self) -> Path:
        path = ctypes.c_char_p()
        self._functions.espeak_ng_InitializePath(None)
        self._functions.espeak_Info.restype = ctypes.c_char_p
        self._functions.espeak_Info(ctypes.byref(path))
        folder = Path(os.fsdecode(path.value or b""))
        if not (folder / "phontab").is_file():
            raise BundleError(f"espeak-ng finds no data in {str(folder)!r}: apt install espeak-ng-data.")
        return folder

    def _collect(
        self, samples: ctypes._Pointer[ctypes.c_short], num_samples: int, events: ctypes._Pointer[_Event]
    ) -> int:
        if num_samples > 0 and samples:
            self._samples.append(np.ctypeslib.as_array(samples, shape=(num_samples,)).copy())
        index = 0
        while (event := events[index]).type != _EVENT_END:
            if event.type == _EVENT_PHONEME:
                self._events.append((event.sample, event.id.string.decode("latin-1")))
            elif event.type == _EVENT_WORD:
                self._events.append((event.sample, WORD))
            index += 1
        return 0


@lru_cache(maxsize=1)
def _open_library() -> _Library:
    return _Library()


def _link_data(data: Path, home: Path) -> Path:
    """A data folder of links to `data`; returns its folder of variants, which is its own."""
    folder = home / "espeak-ng-data"
    variants = folder / "voices" / "!v"
    variants.mkdir(parents=True)
    for entry in data.iterdir():
        if entry.name != "voices":
            (folder / entry.name).symlink_to(entry)
    return variants
