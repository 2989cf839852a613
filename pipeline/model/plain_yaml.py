"""Reads hyperpyyaml as plain data: tags are kept as text, and nothing is ever imported, called or evaluated.

A tagged mapping such as `!new:package.Class` becomes a dict whose key TAG holds the tag; a tagged scalar or sequence
becomes its plain value. `!ref <name>` becomes a Reference that `Section` resolves when the value is asked for.
"""

from __future__ import annotations

import ast
import operator
import re
import reprlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pipeline.errors import BundleError, MissingExtra

TAG = "!tag"
REQUIRED: Any = object()
MAX_EXPRESSION_LENGTH = 200  # characters
MAX_REFERENCE_DEPTH = 20

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_FLOAT_WITHOUT_POINT = re.compile(r"[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+$")  # YAML 1.1 calls 1e-06 a string
_NAME = re.compile(r"<([^<>]+)>")

Number = int | float
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Reference:
    """The text after `!ref`, for example `<size>` or `<size> * 2`."""

    expression: str


@dataclass(frozen=True)
class Section:
    """One mapping of the file; its methods check types and name file, key and cure in every error."""

    file: Path
    name: str  # dotted path from the top of the file, empty for the file itself
    values: dict[Any, Any]
    root: dict[Any, Any]

    def integer(self, key: str, default: Any = REQUIRED, minimum: int = 1) -> int:
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
            raise self.error(key, f"{_show(value)} is not a whole number from {minimum} on")
        return value

    def number(self, key: str, default: Any = REQUIRED, minimum: float = 0.0, maximum: float = 1e9) -> float:
        value = self._get(key, default)
        if isinstance(value, bool) or not isinstance(value, Number) or not minimum <= value <= maximum:
            raise self.error(key, f"{_show(value)} is not a number from {minimum:g} to {maximum:g}")
        return float(value)

    def flag(self, key: str, default: Any = REQUIRED) -> bool:
        value = self._get(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"{_show(value)} is not true or false")
        return value

    def choice(self, key: str, choices: tuple[T, ...], default: Any = REQUIRED) -> T:
        value = self._get(key, default)
        for choice in choices:
            if type(value) is type(choice) and value == choice:
                return choice
        raise self.error(key, f"{_show(value)} is not supported, only {' or '.join(map(repr, choices))}")

    def integers(self, key: str, default: Any = REQUIRED) -> tuple[int, ...]:
        value = self._get(key, default)
        if not _is_integers(value):
            raise self.error(key, f"{_show(value)} is not a list of whole numbers from 1 on")
        return tuple(value)

    def integer_lists(self, key: str, default: Any = REQUIRED) -> tuple[tuple[int, ...], ...]:
        value = self._get(key, default)
        if not isinstance(value, list) or not all(_is_integers(item) and item for item in value):
            raise self.error(key, f"{_show(value)} is not a list of lists of whole numbers from 1 on")
        return tuple(tuple(item) for item in value)

    def length(self, key: str) -> int:
        value = self._get(key, REQUIRED)
        if not isinstance(value, list):
            raise self.error(key, f"{_show(value)} is not a list")
        return len(value)

    def text(self, key: str, default: Any = REQUIRED) -> str:
        value = self._get(key, default)
        if not isinstance(value, str):
            raise self.error(key, f"{_show(value)} is not a text")
        return value

    def section(self, key: str, default: Any = REQUIRED) -> Section:
        value = self._get(key, default)
        if not isinstance(value, dict):
            raise self.error(key, f"{_show(value)} is not a mapping")
        return Section(self.file, self._path(key), value, self.root)

    def part(self, key: str, class_names: Collection[str]) -> Section:
        """The section under `key`, whose class must be one of those."""
        section = self.section(key)
        if section.class_name not in class_names:
            name = section.class_name or "no class"
            raise self.error(key, f"{name} is not supported, only {' or '.join(class_names)}")
        return section

    def agree(self, key: str, value: int, other_key: str, other: int) -> None:
        """Raises BundleError where two sizes that belong together differ."""
        if value != other:
            raise self.error(key, f"{value} does not fit {other_key}, which is {other}")

    def has(self, key: str) -> bool:
        return self.values.get(key) is not None

    @property
    def tag_target(self) -> str:
        """What the tag names: `cosyvoice.llm.llm.TransformerLM` of `!new:cosyvoice.llm.llm.TransformerLM`."""
        return str(self.values.get(TAG, "")).partition(":")[2]

    @property
    def class_name(self) -> str:
        return self.tag_target.rpartition(".")[2]

    def error(self, key: str, problem: str) -> BundleError:
        return BundleError(f"{self.file}: {self._path(key)}: {problem}. Copy the file again from the official release.")

    def _path(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key

    def _get(self, key: str, default: Any) -> Any:
        if key not in self.values:
            if default is REQUIRED:
                raise self.error(key, "this key is missing")
            return default
        return self._resolve(key, self.values[key])

    def _resolve(self, key: str, value: Any, depth: int = 0) -> Any:
        if isinstance(value, list):
            return [self._resolve(key, item, depth) if isinstance(item, Reference) else item for item in value]
        if not isinstance(value, Reference):
            return value
        if depth > MAX_REFERENCE_DEPTH:
            raise self.error(key, f"!ref {value.expression} leads in a circle")
        names = {name: self._lookup(key, name, depth) for name in _NAME.findall(value.expression)}
        if value.expression in {f"<{name}>" for name in names}:
            return next(iter(names.values()))
        try:
            return _arithmetic(value.expression, names)
        except (ValueError, ArithmeticError, SyntaxError, RecursionError):
            raise self.error(key, f"!ref {value.expression[:80]} is not plain arithmetic on known numbers") from None

    def _lookup(self, key: str, name: str, depth: int) -> Any:
        if name not in self.root:
            raise self.error(key, f"!ref <{name}> points to nothing in this file")
        return self._resolve(key, self.root[name], depth + 1)


def read_plain_yaml(file: Path) -> Section:
    """The whole file as a Section. Raises BundleError when it is missing or no yaml mapping."""
    try:
        import yaml
    except ImportError:
        raise MissingExtra(
            "reading cosyvoice.yaml needs PyYAML: install it with `pip install 'cosyvoice-serve[export]'`."
        ) from None
    try:
        text = file.read_text("utf-8")
    except OSError as error:
        raise BundleError(
            f"{file} cannot be read ({error.strerror}): give the folder of an official CosyVoice-300M checkpoint."
        ) from None
    except UnicodeDecodeError:
        raise BundleError(f"{file} is no UTF-8 text: copy it again from the official release.") from None
    try:
        values = yaml.load(text, Loader=_plain_loader())
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BundleError(f"{file} is no valid yaml ({reason}): copy it again from the official release.") from None
    if not isinstance(values, dict):
        raise BundleError(f"{file} holds no keys (llm, flow, hift): copy it again from the official release.")
    return Section(file, "", values, values)


def _plain_loader() -> Any:
    """SafeLoader that builds a plain value for every tag it does not know."""
    import yaml

    class PlainLoader(yaml.SafeLoader):
        pass

    def construct(loader: Any, tag: str, node: Any) -> Any:
        if isinstance(node, yaml.MappingNode):
            return {**loader.construct_mapping(node, deep=True), TAG: tag}
        if isinstance(node, yaml.SequenceNode):
            return loader.construct_sequence(node, deep=True)
        text = loader.construct_scalar(node)
        if tag == "!ref":
            return Reference(str(text).strip())
        return {TAG: tag} if tag.startswith(("!new:", "!name:")) else text

    PlainLoader.add_multi_constructor("", construct)
    PlainLoader.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT_WITHOUT_POINT, list("-+0123456789"))
    return PlainLoader


def _arithmetic(expression: str, names: dict[str, Any]) -> Number:
    """Computes + - * / // % of numbers and `<name>`s by walking the syntax tree; raises ValueError on all else."""
    if len(expression) > MAX_EXPRESSION_LENGTH:
        raise ValueError(expression)
    identifiers = {name: f"v{index}" for index, name in enumerate(names)}
    source = _NAME.sub(lambda match: identifiers[match[1]], expression)
    values = {identifiers[name]: value for name, value in names.items()}
    return _compute(ast.parse(source, mode="eval").body, values)


def _compute(node: ast.expr, values: dict[str, Any]) -> Number:
    if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
        result: Number = _ARITHMETIC[type(node.op)](_compute(node.left, values), _compute(node.right, values))
        return result
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_compute(node.operand, values)
    value = node.value if isinstance(node, ast.Constant) else values.get(getattr(node, "id", ""))
    if isinstance(value, bool) or not isinstance(value, Number):
        raise ValueError(value)
    return value


def _is_integers(value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is int and item > 0 for item in value)


def _show(value: Any) -> str:
    return reprlib.repr(value)  # bounded, also where yaml aliases would unfold to gigabytes
