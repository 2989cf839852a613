from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.text.phrases import DATA, ContextRules, PhraseTable, read_lines, read_polyphones, read_table, read_words
from pipeline.text.polyphone import MAX_CONTEXT, PolyphoneModel, Vocabulary
from pipeline.text.pronounce import load_pronouncer, pinyin
from pipeline.text.reader import pronounce
from pipeline.text.readings import known_syllables
from pipeline.text.script import Script
from pipeline.text.segment import tags_of

CASES = [line.split("\t") for line in read_lines(Path(__file__).parent / "cases" / "polyphones.tsv")]


@pytest.mark.parametrize(("text", "index", "syllable"), CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES])
def test_polyphones_are_read_as_a_speaker_reads_them(text: str, index: str, syllable: str) -> None:
    assert pinyin(text)[int(index)] == syllable


def test_everyday_phrases_are_read_as_the_dictionary_has_them() -> None:
    wrong = []
    for line in read_lines(Path(__file__).parent / "cases" / "everyday.tsv"):
        text, pairs = line.split("\t")
        found, places = pinyin(text), {}
        for char, syllable in (pair.split(":") for pair in pairs.split()):
            places[char] = text.index(char, places.get(char, -1) + 1)
            if found[places[char]] != syllable:
                wrong.append((text, char, syllable, found[places[char]]))
    assert wrong == []


def test_a_strong_rule_wins_over_an_everyday_word() -> None:
    assert pinyin("地下")[0] == "di4"
    assert pinyin("雨哗哗地下着")[3] == "de5"


@pytest.mark.parametrize("text", ["", " ", "GPU 3.5%", "🙂重庆\n", "儿", "一", "不", "重" * 600, "\u3400\U0002a6a5"])
def test_one_entry_for_each_character(text: str) -> None:
    entries = pinyin(text)
    assert len(entries) == len(text)
    assert all(entry == char for entry, char in zip(entries, text, strict=True) if char.isascii() or char == "🙂")


def test_dictionaries_do_not_apply_sandhi_to_yi_and_bu() -> None:
    assert pinyin("一不小心") == ["yi1", "bu4", "xiao3", "xin1"]


def test_sources_name_what_decided() -> None:
    assert load_pronouncer().read("重庆很大").sources[:3] == ["phrase", "phrase", "character"]
    assert load_pronouncer().read("慢慢地走").sources[2] in ("phrase", "rule")
    assert load_pronouncer().read("a重").sources == ["tokenizer", "model"]


def test_a_phrase_respects_word_boundaries() -> None:
    table = PhraseTable({"了解": "liao3 jie3", "长江": "chang2 jiang1", "长江大桥": "chang2 jiang1 da4 qiao2"})
    assert not list(table.matches("为了解决", [0, 0, 1, 1]))
    assert [match.start for match in table.matches("想了解他", [0, 1, 1, 2])] == [1]
    assert [len(match.syllables) for match in table.matches("长江大桥", [0, 0, 1, 1])] == [4]


def test_the_first_rule_that_fits_decides() -> None:
    rules = ContextRules(["huan2\t<还>(?=钱)", "hai2\t<还>", "zhang3\t校<长>"])
    assert rules.syllables("还钱还有校长", frozenset("还钱有校长")) == {0: "huan2", 2: "hai2", 5: "zhang3"}


def test_every_syllable_of_the_tables_is_mandarin() -> None:
    everyday = read_polyphones(DATA / "polyphones.txt").values()
    words = [value.split() for value in read_table(DATA / "words.tsv").values()]
    contexts = [[line.split("\t")[0].lstrip("!")] for line in read_lines(DATA / "contexts.tsv")]
    syllables = {s for row in [*everyday, *words, *contexts] for s in row if s is not None}
    assert {s for s in syllables if s[:-1] not in known_syllables() or s[-1] not in "12345"} == set()
    assert all(len(word) == len(value.split()) for word, value in read_table(DATA / "words.tsv").items())


def test_no_word_of_the_polyphone_list_has_two_readings_for_one_character() -> None:
    seen: dict[tuple[str, str], str] = {}
    for line in read_lines(DATA / "polyphones.txt"):
        char, syllable, *words = line.split()
        for word in words:
            assert char in word
            assert seen.setdefault((char, word), syllable) == syllable, (char, word)


def test_word_lists_ignore_notes(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("# a note\n一 二\n\n三\n", "utf-8")
    assert read_words(tmp_path / "words.txt") == {"一", "二", "三"}


class EchoSession:
    """Prefers the class whose number is the row of the character."""

    def __init__(self) -> None:
        self.lengths: list[list[int]] = []

    def run(self, inputs: dict[str, np.ndarray], outputs: list[str]) -> dict[str, np.ndarray]:
        self.lengths.append(inputs["lengths"].tolist())
        width = 2 * inputs["grid"].shape[1]
        rows = inputs["grid"][inputs["cells"][:, 0] // width, inputs["cells"][:, 0] % width]
        scores = (inputs["candidates"] == rows[:, None]) + inputs["bonus"][..., 0]
        return {"best": scores.argmax(1, keepdims=True), "pauses": np.zeros((len(rows), 1), np.float32)}


def test_the_model_answers_only_with_readings_of_the_character() -> None:
    classes = [f"s{k}" for k in range(8)]
    vocabulary = Vocabulary.build({"好": 4, "长": 5}, classes, {"好": ["s3", "s4"], "长": ["s6", "s7"]})
    session = EchoSession()
    model = PolyphoneModel(session, vocabulary)  # type: ignore[arg-type]
    assert model.readings("好长", tags_of("好长"), {0: None, 1: "s7"}) == {0: "s4", 1: "s7"}
    assert model.readings("好长", tags_of("好长"), {0: "s3"}) == {0: "s3"}
    long = "好" * (MAX_CONTEXT + 1)
    assert len(model.readings(long, tags_of(long), dict.fromkeys(range(len(long))))) == len(long)
    assert session.lengths[-1] == [MAX_CONTEXT + 2, 3]
    encoded = Vocabulary.from_json(vocabulary.to_json()).encode(["好长", "\U0010ffff", ""])
    assert encoded.tolist() == [2, 4, 5, 3, 2, 1, 3, 2, 3]


def test_a_script_gets_readings_where_it_has_none() -> None:
    text = "重庆GPU玩儿"
    script = Script(text, ("zh",) * 7, (None, "qing1", *[None] * 5), ("tokenizer", "lexicon", *["tokenizer"] * 5))
    read = pronounce(script)
    assert read.readings == ("chong2", "qing1", None, None, None, "wanr2", "")
    assert read.sources[:2] == ("phrase", "lexicon")


def test_given_readings_take_part_in_sandhi() -> None:
    script = Script("你行", ("zh", "zh"), (None, "hao3"), ("tokenizer", "lexicon"))
    assert pronounce(script).readings == ("ni2", "hao3")


def test_other_languages_are_not_read_as_mandarin() -> None:
    assert not {"chong2", "zhong4"} & {*pronounce(Script.plain("重慶", "ja")).readings}
