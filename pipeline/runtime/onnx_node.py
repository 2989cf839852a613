"""A node of an ONNX graph and its attributes, decoded from and encoded as Protocol Buffers (onnx/onnx.proto)."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from pipeline.runtime.protobuf import (
    Message,
    as_bytes,
    as_text,
    bytes_field,
    fixed_field,
    integer_field,
    integer_fields,
    read_fields,
    text_field,
    text_fields,
)

_FLOAT, _INT, _STRING, _INTS = 1, 2, 3, 7  # types of an attribute


@dataclass(frozen=True, slots=True)
class Encoded:
    """What is not decoded, such as an attribute that holds a tensor."""

    data: bytes


Attribute = int | float | str | tuple[int, ...] | Encoded


@dataclass(eq=False, slots=True)
class Node:
    """An empty name stands for an input that is left out."""

    op: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Attribute] = field(default_factory=dict)
    domain: str = ""
    name: str = ""
    rest: bytes = b""

    @classmethod
    def decode(cls, data: memoryview) -> Node:
        node, rest = cls("", [], []), []
        for number, value, encoded in read_fields(data):
            if number == 1:
                node.inputs.append(as_text(value))
            elif number == 2:
                node.outputs.append(as_text(value))
            elif number == 3:
                node.name = as_text(value)
            elif number == 4:
                node.op = as_text(value)
            elif number == 5:
                name, attribute = _decode_attribute(as_bytes(value))
                node.attributes[name] = attribute
            elif number == 7:
                node.domain = as_text(value)
            else:
                rest.append(encoded)
        node.rest = b"".join(rest)
        return node

    def encode(self) -> bytes:
        lists = text_fields(1, self.inputs), text_fields(2, self.outputs)
        names = text_field(3, self.name), text_field(4, self.op), text_field(7, self.domain)
        attributes = (bytes_field(5, _encode_attribute(*item)) for item in self.attributes.items())
        return b"".join([*lists, *names, *attributes, self.rest])


def _decode_attribute(data: memoryview) -> tuple[str, Attribute]:
    message = Message(data)
    value: Attribute = Encoded(bytes(data))
    if (kind := message.integer(20)) == _FLOAT:
        (value,) = struct.unpack("<f", message.bytes(2))
    elif kind == _INT:
        value = message.integer(3)
    elif kind == _STRING:
        value = message.text(4)
    elif kind == _INTS:
        value = tuple(message.integers(8))
    return message.text(1), value


def _encode_attribute(name: str, value: Attribute) -> bytes:
    match value:
        case Encoded():
            return value.data
        case float():
            kind, encoded = _FLOAT, fixed_field(2, struct.pack("<f", value))
        case int():
            kind, encoded = _INT, integer_field(3, value)
        case str():
            kind, encoded = _STRING, text_field(4, value)
        case _:
            kind, encoded = _INTS, integer_fields(8, value)
    return text_field(1, name) + encoded + integer_field(20, kind)
