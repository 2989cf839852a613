"""Protocol Buffers' wire format (https://protobuf.dev/programming-guides/encoding), as far as ONNX files use it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_VARINT, _FIXED_64, _BYTES, _FIXED_32 = 0, 1, 2, 5  # how a value is encoded
_FIXED_SIZES = {_FIXED_64: 8, _FIXED_32: 4}


class Field(NamedTuple):
    number: int
    value: int | memoryview  # a signed integer, or the bytes of anything else
    encoded: memoryview  # number and value


def read_fields(message: memoryview) -> Iterator[Field]:
    """The fields of a message, in order, without copying.

    Raises:
        ValueError: the bytes are no message.
    """
    start = 0
    while start < len(message):
        key, position = _read_varint(message, start)
        value, end = _read_value(message, position, key & 7)
        if end > len(message):
            raise ValueError(f"field {key >> 3} ends behind its message")
        yield Field(key >> 3, value, message[start:end])
        start = end


def _read_value(message: memoryview, position: int, kind: int) -> tuple[int | memoryview, int]:
    """The value and where it ends."""
    if kind == _VARINT:
        number, end = _read_varint(message, position)
        return _signed(number), end
    if kind == _BYTES:
        size, position = _read_varint(message, position)
    elif kind in _FIXED_SIZES:
        size = _FIXED_SIZES[kind]
    else:
        raise ValueError(f"no field has type {kind}")
    return message[position : position + size], position + size


def _read_varint(message: memoryview, position: int) -> tuple[int, int]:
    """Seven bits a byte, the lowest first; the last byte is below 128. An unsigned integer and where it ends."""
    number = shift = 0
    while position < len(message):
        byte = message[position]
        number |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return number & (1 << 64) - 1, position
    raise ValueError("a number ends behind its message")


def _signed(number: int) -> int:
    return number - (number >> 63 << 64)


class Message:
    """A message's fields by number, for those that hold few."""

    def __init__(self, data: int | memoryview) -> None:
        self._values: defaultdict[int, list[int | memoryview]] = defaultdict(list)
        for field in read_fields(as_bytes(data)):
            self._values[field.number].append(field.value)

    @property
    def numbers(self) -> set[int]:
        return set(self._values)

    def integer(self, number: int) -> int:
        """Of a field that is not there, 0, as the format says."""
        return next(iter(self.integers(number)), 0)

    def integers(self, number: int) -> list[int]:
        """One to a field, or several packed into one."""
        values = self._values.get(number, [])
        return [integer for value in values for integer in ([value] if isinstance(value, int) else _unpacked(value))]

    def bytes(self, number: int) -> memoryview:
        return next(iter(self.messages(number)), memoryview(b""))

    def messages(self, number: int) -> list[memoryview]:
        return [as_bytes(value) for value in self._values.get(number, [])]

    def text(self, number: int) -> str:
        return as_text(self.bytes(number))


def _unpacked(data: memoryview) -> Iterator[int]:
    position = 0
    while position < len(data):
        number, position = _read_varint(data, position)
        yield _signed(number)


def as_bytes(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError(f"{value} stands where bytes should")
    return value


def as_text(value: int | memoryview) -> str:
    return str(as_bytes(value), "utf-8")


def integer_field(number: int, value: int) -> bytes:
    return _varint(number << 3 | _VARINT) + _varint(value)


def integer_fields(number: int, values: Iterable[int]) -> bytes:
    return b"".join(integer_field(number, value) for value in values)


def bytes_field(number: int, data: bytes | memoryview) -> bytes:
    return b"".join([_varint(number << 3 | _BYTES), _varint(len(data)), data])


def text_field(number: int, text: str) -> bytes:
    return bytes_field(number, text.encode())


def text_fields(number: int, texts: Iterable[str]) -> bytes:
    return b"".join(text_field(number, text) for text in texts)


def fixed_field(number: int, data: bytes) -> bytes:
    """Of 4 bytes, such as a float."""
    return _varint(number << 3 | _FIXED_32) + data


def _varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    data = bytearray()
    while number >= 128:
        data.append(number & 127 | 128)
        number >>= 7
    data.append(number)
    return bytes(data)
