from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.config import TextConfig
from pipeline.errors import InvalidRequest, TextTooLong, VoiceNotFound
from pipeline.runtime.bundle import Bundle, FlowSpec, LMSpec, Manifest, VocoderSpec, write_voices
from pipeline.text.frontend import Frontend, LocalFrontend
from pipeline.text.inventory import text_symbols
from pipeline.text.lexicon import Lexicon
from pipeline.text.lexicon_entry import Entry
from pipeline.text.lexicon_sqlite import SqliteLexicon
from pipeline.text.phoneme import PhonemeTokenizer, TokenTable
from pipeline.text.polyphone import Question
from pipeline.text.pronounce import load_pronouncer
from pipeline.text.readings import Reading
from pipeline.text.script import Script
from pipeline.text.seeds import derive_seed
from pipeline.text.tokenizer import Tokenizer, make_tokenizer
from pipeline.types import F32, SpeechRequest, Utterance, Voice

CONFIG = TextConfig(lexicon=None, max_text_length=2000)
MANIFEST = Manifest(
    name="tiny",
    token_rate=25,
    languages=("zh", "en"),
    tokenizer="phoneme",
    lm=LMSpec(
        num_layers=1, num_heads=1, head_dim=8, hidden_size=8, num_text_tokens=512, num_speech_tokens=16, speaker_size=4
    ),
    flow=FlowSpec(),
    vocoder=VocoderSpec(
        hop_length=256,
        num_harmonics=1,
        sine_amplitude=0.1,
        noise_std=0.003,
        voiced_threshold_hz=10,
        harmonic_weights=(1.0,),
        harmonic_bias=0.0,
        context_frames=1,
        f0_context_frames=1,
    ),
    voices=("中文女", "english"),
    graphs={},
)


class Letters:
    """One id per letter: a tokenizer that takes characters."""

    takes_readings = False

    def encode(self, text: str, readings: object = None) -> list[int]:
        return [ord(char) for char in text]

    def symbols(self, text: str, readings: object = None) -> list[str]:
        return list(text)


def usual(script: Script, pauses: Sequence[Question]) -> tuple[Script, list[F32]]:
    """Knows three characters, leaves given readings alone."""
    known: dict[str, Reading] = {"重": "zhong4", "庆": "qing4", "好": "hao3"}
    readings = tuple(known.get(c) if r is None else r for c, r in zip(script.text, script.readings, strict=True))
    return replace(script, readings=readings), load_pronouncer().model.pauses(pauses)


@pytest.fixture(scope="module")
def bundle(voice_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("bundle")
    shutil.copy(voice_folder / "tokens.txt", folder)
    write_voices(folder, [Voice(name, np.zeros(4, np.float32)) for name in MANIFEST.voices])
    return Bundle(folder, MANIFEST)


Make = Callable[..., Frontend]


@pytest.fixture
def make(bundle: Bundle) -> Make:
    def make(tokenizer: Tokenizer | None = None, lexicon: Lexicon | None = None, **changes: object) -> Frontend:
        config = CONFIG.model_copy(update=changes)
        tokenizer = tokenizer or make_tokenizer(bundle)
        return Frontend(bundle, tokenizer, config, lexicon or Lexicon(), read=usual)

    return make


def prepare(frontend: Frontend, text: str, **fields: object) -> list[Utterance]:
    return frontend.prepare(SpeechRequest(text, **{"voice": "中文女", "seed": 7, **fields}))  # type: ignore[arg-type]


def texts(utterances: list[Utterance]) -> list[str]:
    return [utterance.text for utterance in utterances]


def lexicon_of(*entries: Entry) -> Lexicon:
    return Lexicon(None, {entry.word: entry for entry in entries})


def test_a_sentence_is_one_utterance_with_the_ids_of_its_tokenizer(make: Make, bundle: Bundle) -> None:
    (utterance,) = prepare(make(), "今天天气不错。")
    assert utterance.text_ids == tuple(make_tokenizer(bundle).encode("今天天气不错。"))
    assert utterance.voice is bundle.voice("中文女")
    assert (utterance.speed, utterance.pause_s) == (1.0, 0.0)


def test_numbers_are_read_in_the_language_around_them(make: Make) -> None:
    (utterance,) = prepare(make(), "我有3个apple。")
    assert utterance.text == "我有三个apple。"
    assert "three" in prepare(make(), "I have 3 apples.")[0].text


def test_text_can_opt_out_of_normalization(make: Make) -> None:
    assert prepare(make(), "有3个", normalize=False)[0].text == "有3个"


def test_words_of_two_languages_stay_apart(make: Make) -> None:
    joined = "".join(texts(prepare(make(Letters()), "我们去 New York 看 Big Ben。")))
    assert "New York" in joined
    assert "Big Ben" in joined


def test_long_text_becomes_bounded_pieces_that_lose_nothing(make: Make) -> None:
    text = "今天我们一起去公园散步，看花，听鸟叫。" * 20
    pieces = texts(prepare(make(), text))
    assert "".join(pieces) == text
    assert max(map(len, pieces)) <= CONFIG.max_piece_length
    assert len(pieces[0]) <= CONFIG.first_piece_length


LONG_CLAUSE = "虽然他每天都很早起床但是上班的时候还是经常迟到。"


def test_a_long_clause_gets_short_silences_where_the_voice_has_them(make: Make) -> None:
    (piece,) = make().preview(LONG_CLAUSE).pieces
    assert piece.text.index("|") == LONG_CLAUSE.index("但是")
    assert "|" in piece.symbols
    assert ("|", "model") in [(reading.text, reading.source) for reading in piece.readings]
    (utterance,) = prepare(make(), LONG_CLAUSE)
    assert utterance.text == LONG_CLAUSE
    assert utterance.text_ids == piece.text_ids
    assert text_symbols().index("|") in utterance.text_ids


def test_a_text_that_opts_out_of_normalization_gets_no_silences(make: Make) -> None:
    (piece,) = make().preview(LONG_CLAUSE, normalize=False).pieces
    assert "|" not in piece.symbols


@pytest.mark.parametrize("tokenizer", [PhonemeTokenizer(TokenTable({"^": 0, "zh:h": 1, "zh:ao3": 2})), Letters()])
def test_a_voice_without_a_symbol_for_silences_gets_none(make: Make, tokenizer: Tokenizer) -> None:
    pieces = make(tokenizer).preview(f"好{LONG_CLAUSE}").pieces
    assert pieces
    assert "|" not in "".join(piece.text for piece in pieces)


def test_english_words_are_read_by_their_neighbours(make: Make) -> None:
    (piece,) = make().preview("I have read the record.").pieces
    readings = [(reading.text, reading.reading) for reading in piece.readings if reading.source == "rule"]
    assert readings == [("read", "R EH1 D"), ("the", "DH AH0"), ("record", "R EH1 K ER0 D")]


def test_no_utterance_exceeds_the_token_budget(make: Make) -> None:
    utterances = prepare(make(Letters(), max_piece_tokens=32), "a" * 100 + " " + "word " * 50 + "今天天气好" * 12)
    assert max(len(utterance.text_ids) for utterance in utterances) <= 32
    assert "".join(texts(utterances)).count("a") == 100


def test_pieces_the_voice_cannot_say_are_left_out(make: Make) -> None:
    assert texts(prepare(make(first_piece_length=8), "你好。\nสวัสดีครับ。\n再见了。")) == ["你好。", "再见了。"]


@pytest.mark.parametrize("text", ["", "  \n", "。！？", "🙂🙂", "[pause:1s]", "<speak></speak>", "สวัสดี"])
def test_text_without_anything_to_say_is_refused_and_named(make: Make, text: str) -> None:
    with pytest.raises(InvalidRequest, match=r"can be spoken: .*'tiny' speaks \(zh, en\)"):
        prepare(make(), text)


def test_too_long_text_names_length_and_limit(make: Make) -> None:
    with pytest.raises(TextTooLong, match="2001 characters, at most 2000"):
        prepare(make(), "好" * 2001)


@pytest.mark.parametrize("text", ["你好", '<speak><voice name="nobody">你好</voice></speak>'])
def test_an_unknown_voice_is_refused_in_request_and_markup(make: Make, text: str) -> None:
    with pytest.raises(VoiceNotFound, match="'nobody' does not exist"):
        prepare(make(), text, voice="中文女" if "<" in text else "nobody")


def test_every_piece_has_its_own_seed_that_depends_on_the_requests_alone(make: Make) -> None:
    text = "今天我们一起去公园散步。" * 10
    first, again = prepare(make(), text), prepare(make(), text)
    seeds = [utterance.seed for utterance in first]
    assert seeds == [derive_seed(7, index) for index in range(len(first))]
    assert seeds == [utterance.seed for utterance in again]
    assert len(set(seeds)) == len(seeds) > 1
    assert prepare(make(), text, seed=8)[0].seed != seeds[0]
    assert prepare(make(), text, seed=None)[0].seed != prepare(make(), text, seed=None)[0].seed


def test_pauses_follow_the_piece_before_them(make: Make) -> None:
    first, second = prepare(make(), "[pause:3s]你好[pause:500ms][pause:1s]再见")
    assert (first.text, first.pause_s) == ("你好", 1.5)
    assert (second.text, second.pause_s) == ("再见", 0.0)


def test_markup_changes_voice_and_speed(make: Make) -> None:
    first, second = prepare(
        make(), '<speak>你好<voice name="english"><prosody rate="50%">hello</prosody></voice></speak>', speed=2.0
    )
    assert (first.voice.name, first.speed) == ("中文女", 2.0)
    assert (second.voice.name, second.speed, second.text) == ("english", 1.0, "hello")


def test_markup_cannot_leave_the_range_of_speed(make: Make) -> None:
    with pytest.raises(InvalidRequest, match="speed 8 is out of range"):
        prepare(make(), '<speak><prosody rate="200%">你好</prosody></speak>', speed=4.0)


def test_given_pinyin_is_spoken_by_a_phoneme_voice(make: Make, bundle: Bundle) -> None:
    ids = make_tokenizer(bundle).encode
    (utterance,) = prepare(make(), "去[pinyin:chong2 qing4]重庆[/pinyin]吧")
    assert utterance.text == "去重庆吧"
    assert utterance.text_ids == tuple(ids("去重庆吧", ["qu4", "chong2", "qing4", "ba5"]))


def test_given_pinyin_is_respelled_only_where_the_reading_differs(make: Make) -> None:
    (utterance,) = prepare(make(Letters()), "去[pinyin:chong2 qing3]重庆[/pinyin]吧")
    assert utterance.text == "去重请吧"


def test_the_lexicon_gives_readings_and_respellings(make: Make, bundle: Bundle) -> None:
    lexicon = lexicon_of(
        Entry("重庆", "pinyin", "chong2 qing3"),
        Entry("K8s", "respelling", "kubernetes"),
        Entry("AI", "respelling", "A I"),
    )
    (utterance,) = prepare(make(Letters(), lexicon), "在重庆用K8s跑AI。")
    assert utterance.text == "在重请用kubernetes跑A I。"
    (spelled,) = prepare(make(None, lexicon), "AI。")
    assert spelled.text_ids == tuple(make_tokenizer(bundle).encode("AI。"))


def test_a_change_of_the_lexicon_is_heard_at_once(make: Make, tmp_path: Path) -> None:
    frontend = make(Letters(), Lexicon(SqliteLexicon(tmp_path / "lexicon.db")))
    assert texts(prepare(frontend, "重来。")) == ["重来。"]
    frontend.lexicon.put(Entry("重来", "pinyin", "zhong3 lai2"))
    assert texts(prepare(frontend, "重来。")) == ["肿来。"]


def test_preview_shows_spans_normal_form_pieces_and_the_origin_of_readings(make: Make) -> None:
    lexicon = lexicon_of(Entry("好", "pinyin", "hao4"), Entry("AI", "respelling", "A I"))
    preview = make(None, lexicon).preview("[pinyin:chong2]重[/pinyin]新好3 times！AI是什么？Hello there.")
    assert [(span.text, span.language) for span in preview.spans][-1][1] == "en"
    assert "3" not in preview.normalized
    readings = {(item.text, item.reading, item.source) for piece in preview.pieces for item in piece.readings}
    assert ("重", "chong2", "markup") in readings
    assert ("好", "hao4", "common") in readings
    assert "AI" not in preview.normalized
    assert ("A I", "EY1 AY1", "common") in readings
    assert preview.pieces[0].symbols[:3] == ("^", "zh:ch", "zh:ong2")
    assert preview.pieces[0].text_ids[0] == 1


def test_readings_stay_with_their_characters_when_pieces_drop_marks_and_lines() -> None:
    script = Script(
        "……重\n好。\n庆", ("zh",) * 8, ("", "", "chong2", None, "hao3", None, None, "qing4"), ("markup",) * 8
    )
    pieces = list(script.pieces(["重\n好。", "庆"]))
    assert [piece.readings for piece in pieces] == [("chong2", None, "hao3", None), ("qing4",)]
    (joined,) = script.pieces(["重 好。庆"])
    assert joined.readings == ("chong2", None, "hao3", None, "qing4")


def test_saying_characters_spells_them(make: Make) -> None:
    (utterance,) = prepare(make(Letters()), '<speak>型号<say-as interpret-as="characters">AB1</say-as></speak>')
    assert "A B" in utterance.text
    assert "1" not in utterance.text


async def test_the_local_stage_answers_like_the_frontend(make: Make) -> None:
    request = SpeechRequest("你好。", "中文女", seed=1)
    assert list(await LocalFrontend(make()).prepare(request)) == make().prepare(request)


def test_warming_up_needs_no_request(make: Make) -> None:
    make().warm_up()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_any_text_is_prepared_or_refused(make: Make, text: str) -> None:
    try:
        utterances = prepare(make(Letters()), text)
    except InvalidRequest:
        return
    assert all(utterance.text_ids for utterance in utterances)
