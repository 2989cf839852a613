"""The yaml reader: tags run nothing, references resolve, and every mistake has a clear error."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from pipeline.errors import BundleError
from pipeline.model.plain_yaml import Section, read_plain_yaml


def read(folder: Path, text: str) -> Section:
    file = folder / "cosyvoice.yaml"
    file.write_text(text, "utf-8")
    return read_plain_yaml(file)


@pytest.mark.parametrize(
    "value",
    [
        "!apply:pathlib.Path.touch [{marker}]",
        "!apply:os.system ['touch {marker}']",
        "!new:hostile_module.Class",
        "!new:hostile_module.Class {{argument: 1}}",
        "!name:hostile_module.function",
        "!module:hostile_module",
        "!include:{folder}/other.yaml",
        "!!python/object/apply:os.system ['touch {marker}']",
        "!!python/object/new:hostile_module.Class []",
        "!!python/name:hostile_module.function",
        "!!python/module:hostile_module",
        "!ref <__import__('hostile_module')>",
        "!ref __import__('hostile_module')",
        "!apply:eval ['__import__(\"hostile_module\")']",
    ],
)
def test_tags_run_and_import_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    marker = tmp_path / "it-ran"
    (tmp_path / "hostile_module.py").write_text(f"open({str(marker)!r}, 'w').close()\nClass = function = print\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    top = read(tmp_path, f"trap: {value.format(marker=marker, folder=tmp_path)}\nsize: 3\n")
    assert top.integer("size") == 3
    assert type(top.values["trap"]) in {dict, list, str} or value.startswith("!ref")
    with pytest.raises(BundleError):
        top.integer("trap")
    assert not marker.exists()
    assert "hostile_module" not in sys.modules


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("<size>", 6),
        ("<size> * 2", 12),
        ("2 * (<size> + <other>) // 3", 6),
        ("<size> % 4", 2),
        ("-<size> + 10", 4),
        ("<alias> - 1", 5),
    ],
)
def test_references_compute_plain_arithmetic(tmp_path: Path, expression: str, expected: int) -> None:
    top = read(tmp_path, f"size: 6\nother: 4\nalias: !ref <size>\nvalue: !ref {expression}\n")
    assert top.integer("value") == expected


def test_references_reach_into_lists_and_whole_sections(tmp_path: Path) -> None:
    top = read(tmp_path, "size: 6\nsizes: [1, !ref <size>]\npart: {a: 1}\nsame: !ref <part>\n")
    assert top.integers("sizes") == (1, 6)
    assert top.section("same").integer("a") == 1


@pytest.mark.parametrize(
    "expression",
    [
        "<missing>",
        "<size> ** 9",
        "<size>.real",
        "<text> * 2",
        "<size> / 0",
        "len(<text>)",
        "<size> *",
        "[<size>]",
        "<size> if 1 else 2",
        "<size> + " * 200 + "1",
    ],
)
def test_other_expressions_are_refused(tmp_path: Path, expression: str) -> None:
    top = read(tmp_path, f"size: 6\ntext: abc\nvalue: !ref {expression}\n")
    with pytest.raises(BundleError, match=r"cosyvoice\.yaml: value"):
        top.number("value")


def test_circular_references_are_named(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="circle"):
        read(tmp_path, "a: !ref <b>\nb: !ref <a> + 1\n").integer("a")


def test_exponents_without_a_point_are_numbers(tmp_path: Path) -> None:
    assert read(tmp_path, "sigma: 1e-06\n").number("sigma") == 1e-6


def test_aliases_that_unfold_without_end_cost_nothing(tmp_path: Path) -> None:
    levels = "".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 30))
    start = time.perf_counter()
    with pytest.raises(BundleError, match="whole number"):
        read(tmp_path, f"l0: &l0 [x]\n{levels}").integer("l29")
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "holds no keys"),
        ("just text", "holds no keys"),
        ("- 1\n- 2\n", "holds no keys"),
        ("a: [1, 2", "no valid yaml"),
        ("a: &a [*a]\nb: !new:x [*b]\n", "no valid yaml"),
        ("a: 2020-13-45\n", "no valid yaml"),
        ("? [1, 2]\n: 3\n", "no valid yaml"),
        ("a: " + "[" * 700, "no valid yaml"),
        ("a: 1\n---\nb: 2\n", "no valid yaml"),
        ("a: \x00", "no valid yaml"),
    ],
)
def test_broken_files_are_named(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(BundleError, match=f"cosyvoice.yaml.*{reason}"):
        read(tmp_path, text)


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "cosyvoice.yaml"
    file.write_bytes(b"sample_rate: \xff\xfe")
    with pytest.raises(BundleError, match="no UTF-8"):
        read_plain_yaml(file)
    with pytest.raises(BundleError, match="cannot be read"):
        read_plain_yaml(tmp_path / "missing.yaml")


@pytest.mark.parametrize(
    ("text", "method", "reason"),
    [
        ("a: true", "integer", "not a whole number"),
        ("a: 1.5", "integer", "not a whole number"),
        ("a: 0", "integer", "not a whole number"),
        ("a: null", "integer", "not a whole number"),
        ("a: .nan", "number", "not a number"),
        ("a: .inf", "number", "not a number"),
        ("a: '1'", "number", "not a number"),
        ("a: yes please", "flag", "not true or false"),
        ("a: 1", "flag", "not true or false"),
        ("a: 8", "integers", "not a list"),
        ("a: [8, '8']", "integers", "not a list"),
        ("a: [1, 2]", "integer_lists", "not a list of lists"),
        ("a: [[]]", "integer_lists", "not a list of lists"),
        ("a: 3", "length", "not a list"),
        ("a: [1]", "section", "not a mapping"),
        ("a: 1", "text", "not a text"),
        ("b: 1", "integer", "missing"),
    ],
)
def test_wrong_types_name_file_key_and_cure(tmp_path: Path, text: str, method: str, reason: str) -> None:
    with pytest.raises(BundleError, match=rf"cosyvoice\.yaml: a: .*{reason}.*official release"):
        getattr(read(tmp_path, text), method)("a")
