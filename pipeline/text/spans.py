"""Says which language each part of a mixed text is in: zh, en, ja, ko or yue, from scripts, marker words and clauses.

Latin letters, kana and hangul say it themselves. Han characters are shared by four of the five languages; a run of
them is decided by, in this order: characters that only one language writes, marker words, the nearest kana or hangul
of the same clause, the neighbouring clauses, and at last the caller's default.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, compress, groupby, pairwise
from types import MappingProxyType
from typing import NamedTuple

HAN_CLASS = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
KANA_CLASS = "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
HANGUL_CLASS = "\u1100-\u11ff\u3131-\u318e\ua960-\ua97f\uac00-\ud7fb"

_OPENING = "“‘「『《〈（(【[〔{＜<#@$¥￥€£"
_NUMERALS = "0-9０-９"
_LATIN = rf"[^\W\d_{HAN_CLASS}{KANA_CLASS}{HANGUL_CLASS}]+"
_TOKENS = re.compile(
    rf"[{HAN_CLASS}]+|[{KANA_CLASS}]+|[{HANGUL_CLASS}]+|[{_NUMERALS}]+|{_LATIN}"
    rf"|(?:[^\w{re.escape(_OPENING)}]|_)+|[{re.escape(_OPENING)}]+|\w"
)
_KINDS = re.compile(
    rf"(?P<han>[{HAN_CLASS}])|(?P<ja>[{KANA_CLASS}])|(?P<ko>[{HANGUL_CLASS}])|(?P<digits>[{_NUMERALS}])|(?P<en>{_LATIN})"
)
_LETTERS = (
    ("han", re.compile(f"[{HAN_CLASS}]")),
    ("ja", re.compile(f"[{KANA_CLASS}]")),
    ("ko", re.compile(f"[{HANGUL_CLASS}]")),
    ("en", re.compile(_LATIN)),
)
_LANGUAGE_OF_KIND: Mapping[str, str] = MappingProxyType({"ja": "ja", "ko": "ko", "en": "en"})
_HAN = re.compile(f"[{HAN_CLASS}]+")
_ENDS = "。！？!?；;，,、：:…\n."  # what may end a clause
# In text that is Chinese by all signs a run of Han characters goes on beyond numbers, spaces and marks inside a clause.
_CHINESE_RUN = rf"[{HAN_CLASS}](?:(?:[{HAN_CLASS}0-9_]|[^\w{_ENDS}])*[{HAN_CLASS}])?"
_CHINESE_TOKENS = re.compile(_TOKENS.pattern.replace(f"[{HAN_CLASS}]+", _CHINESE_RUN, 1))
_OTHER_SCRIPT = re.compile(f"[々{KANA_CLASS}{HANGUL_CLASS}]")
_LETTER = re.compile(rf"[^\W\d_{HAN_CLASS}]")
_FOREIGN_LETTER = {
    "en": re.compile(r"[^\W\d_A-Za-zÀ-ɏ]"),
    "ja": re.compile(rf"[^\W\d_{KANA_CLASS}]"),
    "ko": re.compile(rf"[^\W\d_{HANGUL_CLASS}]"),
}
_CLAUSE_END = re.compile(r"[。！？!?；;，,、：:…\n]|\.(?=\s|$)")
_MAY_END = re.compile(f"[{_ENDS}]")
_SENTENCE_END = re.compile(r"[。！？!?\n…]|\.(?=\s|$)")
_MAX_REACH = 40  # characters: no kana farther away than this decides a Han run

# Written Cantonese only. 係, 仲, 睇 and 同 are left to the bigrams: other languages write them too.
_CANTONESE = re.compile(
    "[嘅咗哋喺佢冇嘢啲嚟嗰咁噉咩嘥喎㗎攞揾搵瞓掟嬲冚乸屙氹焗嘞噃唓嗱餸睇攰孭踎揼撳嗌唞]|唔(?!该)|唔該|唔该|[畀俾][我你佢人]|點解|点解|邊(?:度|個|位)|边(?:度|个)"
    "|呢[個套度啲件間隻位次種本條張部](?!是)|好靚|靚[呀啊喎晒]|[謝完食做走齊曬]晒(?!太)|仲[有要係未]|[我你佢就都即]係(?![統数數])|係(?:咪|唔|噉)|乜(?:嘢|都|水|事)|食(?:飯|嘢|咗|晏|飽)|而家|鍾意|钟意|聽日|听日|尋日|琴日|點樣|返(?:屋企|工|學)|屋企|邊啲|搞掂|傾偈|得閒|細路|老豆|掛住|雪櫃|揸車|尋晚|琴晚|聽晚|聽朝|[好太幾]正[呀啊喎]|早抖|飲(?:杯|啖|咗)|返(?:嚟|去)|係[呀啊囉咩]|幾多|靚[仔女]|飲茶|[喇啫囉]$|啦喂"
)
_CHINESE_FUNCTION = re.compile(
    "[我你您他她它很也了是在的和就都不没沒去来來吃喝看想要说說有们們这這那哪把被给給让讓跟吗嗎呢吧]"
)
_CHINESE_ALONE = re.compile(
    "[你您她很也吗嗎呢吧们們这這哪沒]|(?<!愛)玩(?![具味])|快樂|恭喜|[我他](?![々國国人])|[吃喝](?!驚|茶|煙|水)"
    "|(?:早上|晚上|中午|下午)好|[早晚]安|大家[好都]|再見|歡迎|謝謝|對不起|不客氣|請[問勿您]|[今明昨]天|天氣|什麼|怎麼|為什|時候|高興|喜歡|知道|可以|因為|所以"
    "|但是|如果|還是|漂亮|老師|覺得|已經|一[個下點些首]|沒有|不[是會要能好用]"
)
# Words of Japanese and Korean that are spelled with characters Chinese uses as function words.
_SHARED_WORDS = re.compile(
    "不(?:在|要|和|是|来|有)|[存現现所滞駐实実健混散自]在|在(?:庫|住|籍|宅|日|学|米|外)|[目知性美公私法質量静動心体理]的|[完終修校満魅]了|了(?:解|承)"
    "|是(?:非|正|認)|[昭平令調温融緩飽]和|和(?:食|服|風|室|解|平|歌)|成就|就(?:職|任|業|寝|航)|[首京古遷]都|都(?:市|道|合|内|心|民|庁|立|度|会)|[過除消退]去|去(?:年|勢)"
    "|[未将本従以外往由到元]来|来(?:年|月|週|日|店|場|客|週)|看(?:板|護|病|破)|[感予思理発回空愛]想|想(?:像|定|起)|[重必需主不概強]要|要(?:求|素|点|望|因|件)"
    "|[所国共保固特私公専]有|有(?:名|無|料|効|利|力|限|益|能)|[説說][明得教]|[解小伝演力]説|他(?:人|国|社|者|方)|我(?:慢|々|流|が|国)|被害|被告|那覇"
)
# Words that only Japanese spells so, of characters that Chinese has too.
_JAPANESE_ALONE = re.compile("無料|割引|切符|年中無休|立入禁止|定休日|改札|両替|弁当|宅配便|自動販売機|駐車場|待合室")
_PARTICLE_BEFORE_KANA = re.compile(
    "(?:[是也很]|(?<![現存所不健滞駐実自介混散])在|(?<![目知性美公私法質量静動心体理])的|(?<![完終修校満魅])了)$"
)
_PARTICLE_AFTER_KANA = re.compile("^(?:是(?!非)|也|的|很|在(?!庫|住|籍|宅|日|学)|和(?!食|服|風|室))")
# Verbs that stand before a name or a thing; Japanese writes kana after these or has them inside longer words.
_CHINESE_VERB = "去喝吃買买说說叫找跟給给想看"
_VERB_AND_JAPANESE = re.compile(f"(?:.*[{_CHINESE_VERB}])(?=[^{_CHINESE_VERB}]{{2,4}}$)")
_HANGUL_VERB = re.compile("하[고는여지며면기였]|한다|할|해[요서]|했|합니|됩니|되[고는어었]|된다|됐|드립")  # after 歡迎
_KATAKANA = re.compile("[\u30a1-\u30fa\u30fc]")
_WITHOUT_HAN = {"en": "zh"}  # what Han characters are in where the default has none
_WORD_STOP = frozenset(
    "我你您他她它很也了是在的和就都不没去来吃喝看想要说有们这那哪把被给让跟吗呢吧学会问叫找与或从对讲住用写读教懂"
)
_AFTER_JAPANESE_TEKI = "なにだでとはがのもかよをへ"


@dataclass(slots=True)
class _Tokens:
    """Tokens in columns, and which of them are a clause.

    Attributes:
        kinds: han, digits, other, or a language.
        clauses: where each clause begins, and where the last one ends.
        sentences: the number of each clause's sentence.
    """

    kinds: list[str]
    texts: list[str]
    languages: list[str | None]
    clauses: list[int]
    sentences: list[int]

    def han(self) -> list[list[int]]:
        """Which tokens of each clause are Han characters."""
        kinds = self.kinds
        return [[i for i in range(start, end) if kinds[i] == "han"] for start, end in pairwise(self.clauses)]

    def clause(self, number: int) -> slice:
        return slice(self.clauses[number], self.clauses[number + 1])


def spans(text: str, default: str | None = None) -> list[tuple[str, str]]:
    """Consecutive (part, language) pairs whose parts join to `text`; `default` decides Han characters that do not say.

    Numbers, spaces and punctuation go with a neighbour: closing marks with what precedes, opening marks with what
    follows. Text without any letter is one span of the default.
    """
    default = default or "zh"
    if default in _FOREIGN_LETTER and not _FOREIGN_LETTER[default].search(text):
        return [(text, default)]
    if (only := _only_language(text, default)) is not None:
        return [(text, only)]
    tokens = _decided(text, default)
    return [(text, "zh")] if tokens is None else _merged(tokens, default)


def passages(text: str, default: str | None = None, max_inserted_words: int = 3) -> list[tuple[str, str]]:
    """Like `spans`, but Latin words inside a clause of another language go with it, as numbers there are read in it.

    More than `max_inserted_words` words in a row are a passage of their own. Parts join to `text`.
    """
    tokens = _decided(text, default or "zh")
    if tokens is None:
        return [(text, "zh")]
    _adopt_insertions(tokens, max_inserted_words)
    return _merged(tokens, default or "zh")


def _only_language(text: str, default: str) -> str | None:
    """The language of a text of one script, if that alone says it."""
    script = None
    for language, letter in _LETTERS:
        if letter.search(text):
            if script is not None:
                return None
            script = language
    if script is None:
        return default if text else None
    if script != "han":
        return script
    if default == "zh" and _is_simplified_chinese(text):
        return default
    return _common_language(_HAN.findall(text), default)


def _common_language(runs: Sequence[str], default: str) -> str | None:
    """The language of Han runs without kana or hangul around them, where each by itself says no other one."""
    found = list(map(_says_alone, runs))
    stated = {says.language for says in found}
    if len(stated) > 1 and (None not in stated or "yue" in stated):  # a clause without a Cantonese word may be Chinese
        return None
    if any(says.is_simplified for says in found) and any(says.is_foreign for says in found):
        return None
    undecided = _WITHOUT_HAN.get(default, default)
    languages = {language or undecided for language in stated}
    return languages.pop() if len(languages) == 1 else None


class _Says(NamedTuple):
    """What a Han run tells without its neighbours.

    Attributes:
        is_simplified, is_foreign: whether it has a character in Chinese spelling only, or in Japanese spelling.
    """

    language: str | None
    is_simplified: bool
    is_foreign: bool


@lru_cache(maxsize=4096)
def _says_alone(run: str) -> _Says:
    language = "yue" if _is_cantonese(run) else _language_of(run)
    return _Says(language, _has_simplified(run), _has_foreign(run))


def _decided(text: str, default: str) -> _Tokens | None:
    """Tokens with their languages; None for a text that is Chinese from its first to its last character."""
    is_chinese = default == "zh" and _is_simplified_chinese(text)
    if is_chinese and text and not _LETTER.search(text):
        return None
    tokens = _tokens(text, _CHINESE_TOKENS if is_chinese else _TOKENS)
    if is_chinese:
        rows = zip(tokens.kinds, tokens.languages, strict=True)
        tokens.languages = ["zh" if kind == "han" else language for kind, language in rows]
    elif "han" in tokens.kinds:
        tokens = _with_han_decided(tokens, default)
    if "digits" in tokens.kinds:
        _attach_digits(tokens)
    if None in tokens.languages:
        _attach_others(tokens)
    return tokens


def _with_han_decided(tokens: _Tokens, default: str) -> _Tokens:
    kinds = tokens.kinds
    if "ja" not in kinds and "ko" not in kinds:
        runs = list(compress(tokens.texts, map("han".__eq__, kinds)))
        if (common := _common_language(runs, default)) is not None:
            rows = zip(kinds, tokens.languages, strict=True)
            tokens.languages = [common if kind == "han" else language for kind, language in rows]
            return tokens
    han = tokens.han()
    if words := _quoted_words(tokens, han):
        tokens = _with_words_apart(tokens, words)
        han = tokens.han()
    _decide_han(tokens, han, default)
    return tokens


def _is_simplified_chinese(text: str) -> bool:
    """Whether nothing in a text that is Chinese by default speaks for another language of its Han characters.

    GB 2312 has neither the characters of other languages nor traditional ones, but for 々.
    """
    if _OTHER_SCRIPT.search(text):
        return False
    han = _HAN.findall(text)
    return _encodes_all("".join(han), "gb2312") and not any(map(_CANTONESE.search, han))


def _tokens(text: str, pattern: re.Pattern[str]) -> _Tokens:
    texts: list[str] = pattern.findall(text)
    kinds = [_kind_of(part[0]) for part in texts]
    clauses, sentences = _clauses(kinds, texts) if _MAY_END.search(text) else ([0], [0])
    if clauses[-1] < len(texts):
        clauses.append(len(texts))
    else:
        sentences.pop()
    return _Tokens(kinds, texts, list(map(_LANGUAGE_OF_KIND.get, kinds)), clauses, sentences)


def _clauses(kinds: Sequence[str], texts: Sequence[str]) -> tuple[list[int], list[int]]:
    """Where clauses begin, if only at the end of the text, and the numbers of their sentences."""
    clauses, sentences = [0], [0]
    sentence = 0
    for i, kind in enumerate(kinds, 1):
        if kind == "other" and _MAY_END.search(texts[i - 1]):
            ends_clause, ends_sentence = _ends(texts[i - 1], texts[i][0] if i < len(texts) else "")
            sentence += ends_sentence
            if ends_clause:
                clauses.append(i)
                sentences.append(sentence)
    return clauses, sentences


@lru_cache(maxsize=8192)
def _kind_of(first: str) -> str:
    """Of the token that begins with a character."""
    match = _KINDS.match(first)
    return (match and match.lastgroup) or "other"


def _quoted_words(tokens: _Tokens, han: Sequence[Sequence[int]]) -> dict[int, tuple[int, int]]:
    """Where Chinese runs have Japanese words: 日本語 in simplified text, 抹茶 after a verb and before ラテ."""
    texts = tokens.texts
    simplified = _sentences_where(tokens, han, _has_simplified)
    words: dict[int, tuple[int, int]] = {}
    for sentence, places in zip(tokens.sentences, han, strict=True):
        is_simplified = sentence in simplified
        for i in places:
            following = texts[i + 1] if i + 1 < len(texts) else ""
            if _KATAKANA.match(following) or (is_simplified and _has_foreign(texts[i])):
                start, end = _japanese_word(texts[i], following, is_simplified)
                if start < end:
                    words[i] = start, end
    return words


def _sentences_where(tokens: _Tokens, han: Sequence[Sequence[int]], holds: Callable[[str], bool]) -> set[int]:
    """Those with a run of Han characters for which something holds."""
    texts, found = tokens.texts, set[int]()
    for sentence, places in zip(tokens.sentences, han, strict=True):
        for i in places:
            if holds(texts[i]):
                found.add(sentence)
                break
    return found


def _with_words_apart(tokens: _Tokens, words: Mapping[int, tuple[int, int]]) -> _Tokens:
    """`words` are Japanese ones in Han tokens; what stands around them is Chinese."""
    kinds, texts, languages = tokens.kinds, tokens.texts, tokens.languages
    apart = _Tokens([], [], [], [], tokens.sentences)
    first, added = 0, [0] * (len(texts) + 1)  # tokens that each one has become, beyond one
    for i, (start, end) in words.items():
        text = texts[i]
        around = languages[i] if _is_cantonese(text) else "zh"
        rows = ((text[:start], around), (text[start:end], "ja"), (text[end:], around))
        parts = [row for row in rows if row[0]]
        apart.kinds += [*kinds[first:i], *[kinds[i]] * len(parts)]
        apart.texts += [*texts[first:i], *[part for part, _ in parts]]
        apart.languages += [*languages[first:i], *[language for _, language in parts]]
        first, added[i + 1] = i + 1, len(parts) - 1
    apart.kinds += kinds[first:]
    apart.texts += texts[first:]
    apart.languages += languages[first:]
    moved = list(accumulate(added))
    apart.clauses += [start + moved[start] for start in tokens.clauses]
    return apart


def _japanese_word(run: str, following: str, is_simplified: bool) -> tuple[int, int]:
    """Where a run has a word in Japanese spelling among Chinese ones; an empty range if nowhere."""
    if not is_simplified and not _KATAKANA.match(following):
        return 0, 0
    if _KATAKANA.match(following) and (verb := _VERB_AND_JAPANESE.match(run)) and not _SHARED_WORDS.search(run):
        return (verb.end(), len(run)) if all(map(_is_common_japanese, run[verb.end() :])) else (0, 0)
    foreign = next((k for k, char in enumerate(run) if is_simplified and _is_japanese_unsimplified(char)), None)
    if foreign is None:
        return 0, 0
    start, end = foreign, foreign + 1
    while start and _continues_word(run[start - 1]):
        start -= 1
    while end < len(run) and _continues_word(run[end]):
        end += 1
    return (start, end) if end - start > 1 else (0, 0)


def _continues_word(char: str) -> bool:
    return char not in _WORD_STOP and _is_common_japanese(char)


@lru_cache(maxsize=4096)
def _has_simplified(run: str) -> bool:
    return any(map(_is_chinese_simplified, run))


@lru_cache(maxsize=4096)
def _has_foreign(run: str) -> bool:
    return any(map(_is_japanese_unsimplified, run))


@lru_cache(maxsize=8192)
def _is_chinese_simplified(char: str) -> bool:
    return _encodes(char, "gb2312") and not _encodes(char, "big5") and not _encodes(char, "shift_jis")


@lru_cache(maxsize=8192)
def _is_japanese_unsimplified(char: str) -> bool:
    return _is_common_japanese(char) and not _encodes(char, "gb2312")


@lru_cache(maxsize=8192)
def _is_common_japanese(char: str) -> bool:
    """Whether it is among the first 2,965 kanji of JIS X 0208, which hold what Japanese uses today."""
    return _encodes(char, "shift_jis") and char.encode("shift_jis") < b"\x98\x9f"


@lru_cache(maxsize=4096)
def _ends(marks: str, following: str) -> tuple[bool, bool]:
    """Whether a clause and a sentence end with marks before a character, or before the end of the text."""
    return _ends_with(_CLAUSE_END, marks, following), _ends_with(_SENTENCE_END, marks, following)


def _ends_with(pattern: re.Pattern[str], marks: str, following: str) -> bool:
    hit = pattern.search(marks + following)
    if hit is None or hit.start() >= len(marks):
        return False
    is_inside_word = len(marks) == 1 and following.isascii() and following.isalnum()
    return not (is_inside_word and hit.group() in ",:?!")


def _decide_han(tokens: _Tokens, han: Sequence[Sequence[int]], default: str) -> None:
    chinese = _sentences_where(tokens, han, is_chinese_only)
    for number, (sentence, places) in enumerate(zip(tokens.sentences, han, strict=True)):
        if places:
            _decide_clause(tokens, number, places, sentence in chinese)
    if "yue" in tokens.languages:
        _spread_cantonese(tokens)
    _inherit(tokens, han, default)


def _decide_clause(tokens: _Tokens, number: int, han: Sequence[int], is_in_chinese: bool) -> None:
    clause = tokens.clause(number)
    texts, languages = tokens.texts, tokens.languages
    if any(_is_cantonese(texts[i]) for i in han):
        for i in han:
            languages[i] = languages[i] or (_near_kana(tokens, clause, i) and "ja") or "yue"
        return
    kinds = tokens.kinds[clause]
    has_kana = "ja" in kinds
    may_go_on = not has_kana or _may_go_on_in_chinese(tokens, clause)
    nearest = _nearest_scripts(tokens, clause) if has_kana or "ko" in kinds else {}
    was_chinese = False
    for i in han:
        if languages[i] is None:
            introduces = is_in_chinese and i + 1 < clause.stop and texts[i + 1][-1] in _OPENING
            goes_on = was_chinese and may_go_on and tokens.kinds[i - 1] != "han"
            languages[i] = "zh" if introduces or goes_on else _own_language(tokens, clause, i, nearest.get(i))
        was_chinese = was_chinese or languages[i] == "zh"


@lru_cache(maxsize=4096)
def _is_cantonese(run: str) -> bool:
    return _CANTONESE.search(run) is not None


def _may_go_on_in_chinese(tokens: _Tokens, clause: slice) -> bool:
    """Whether a clause that was Chinese before a name in katakana, and has no hiragana, goes on after the name."""
    kinds = tokens.kinds[clause]
    rows = zip(kinds, tokens.texts[clause], strict=True)
    return kinds[-1] != "ja" and all(_KATAKANA.match(text) for kind, text in rows if kind == "ja")


def _spread_cantonese(tokens: _Tokens) -> None:
    """Cantonese shares most words with Mandarin: clauses of its sentence that only those words decided go with it."""
    kinds, texts, languages = tokens.kinds, tokens.texts, tokens.languages
    clauses = [tokens.clause(number) for number in range(len(tokens.sentences))]
    rows = list(zip(clauses, tokens.sentences, strict=True))
    sentences = {sentence for clause, sentence in rows if "yue" in languages[clause]}
    for clause, sentence in rows:
        if sentence not in sentences or texts[clause.stop - 1].rstrip()[-1:] in ("：", ":"):
            continue
        for i in range(clause.start, clause.stop):
            if kinds[i] == "han" and languages[i] == "zh" and not _is_simplified(texts[i]):
                languages[i] = "yue"


def _is_simplified(run: str) -> bool:
    return any(_encodes(char, "gb2312") and not _encodes(char, "big5") for char in run)


def _near_kana(tokens: _Tokens, clause: slice, i: int) -> bool:
    """Whether a Han run of a Cantonese clause is Japanese: kana touches it and it has no marker of its own."""
    touches = any(clause.start <= j < clause.stop and tokens.kinds[j] == "ja" for j in (i - 1, i + 1))
    return touches and not _is_cantonese(tokens.texts[i]) and not is_chinese_only(tokens.texts[i])


def _own_language(tokens: _Tokens, clause: slice, i: int, neighbour: str | None) -> str | None:
    run = tokens.texts[i]
    if neighbour is None or is_chinese_only(run):
        return _language_of(run)
    if neighbour == "ja":
        return "zh" if _is_chinese_beside_kana(tokens, clause, i) else "ja"
    if neighbour == "ko":
        is_root = i + 1 < clause.stop and _HANGUL_VERB.match(tokens.texts[i + 1])
        return "zh" if _chinese_score(run) >= 1 and not is_root else "ko"
    return _language_of(run)


@lru_cache(maxsize=4096)
def _language_of(run: str) -> str | None:
    """What a run says by itself."""
    if is_chinese_only(run):
        return "zh"
    if _is_shinjitai(run) or _mixes_spellings(run):
        return "ja"
    if _chinese_score(run) >= 1:
        return "zh"
    return "ja" if _JAPANESE_ALONE.search(run) else None


def _nearest_scripts(tokens: _Tokens, clause: slice) -> dict[int, str]:
    """The language of the kana or hangul nearest to each Han token, in characters; what follows wins a tie."""
    kinds, texts = tokens.kinds, tokens.texts
    nearest: dict[int, str] = {}
    waiting: list[tuple[int, int, int]] = []  # Han tokens since the last kana or hangul: with the distance to it, end
    position, last_end, language = 0, -_MAX_REACH, ""
    for i in range(clause.start, clause.stop):
        kind, start = kinds[i], position
        position += len(texts[i])
        if kind == "han":
            if (before := start - last_end) < _MAX_REACH:
                nearest[i] = language
            waiting.append((i, before, position))
        elif kind in ("ja", "ko"):
            for k, before, end in waiting:
                if start - end <= before and start - end < _MAX_REACH:
                    nearest[k] = kind
            waiting.clear()
            last_end, language = position, kind
    return nearest


def _is_chinese_beside_kana(tokens: _Tokens, clause: slice, i: int) -> bool:
    run = tokens.texts[i]
    before, after = _beside(tokens, clause, i, -1), _beside(tokens, clause, i, 1)
    if after and run[-1] == "叫" and after[0] not in "ばびぶべぼん":
        return True
    if after and _PARTICLE_BEFORE_KANA.search(run):
        return not (run[-1] in "的了在" and after[0] in _AFTER_JAPANESE_TEKI + "しすさせるり")
    if before and _PARTICLE_AFTER_KANA.search(run) and not (run in "的" and after[:1] in _AFTER_JAPANESE_TEKI):
        return True
    return _chinese_score(run) >= 2


def _beside(tokens: _Tokens, clause: slice, i: int, step: int) -> str:
    """The kana next to a run, looking past brackets and quotes, or nothing."""
    j = i + step
    if clause.start <= j < clause.stop and tokens.kinds[j] == "other":
        j += step
    return tokens.texts[j] if clause.start <= j < clause.stop and tokens.kinds[j] == "ja" else ""


@lru_cache(maxsize=4096)
def _chinese_score(run: str) -> int:
    """0: nothing says Chinese, 1: one function word, 2: certain enough to stand beside kana."""
    rest = _SHARED_WORDS.sub("", run)
    if _CHINESE_ALONE.search(rest):
        return 2
    return min(len(_CHINESE_FUNCTION.findall(rest)), 2)


def is_chinese_only(run: str) -> bool:
    """Whether a character of the run is written in Chinese but not in Japanese (nor in Korean)."""
    return "zh" in map(_script_of, run)


def _is_shinjitai(run: str) -> bool:
    return "ja" in map(_script_of, run)


def _mixes_spellings(run: str) -> bool:
    """Whether a run has characters that simplified Chinese lacks and others that traditional lacks, as 東京大学."""
    if _chinese_score(run) or not all(map(_is_common_japanese, run)):
        return False
    return any(not _encodes(c, "gb2312") for c in run) and any(not _encodes(c, "big5") for c in run)


@lru_cache(maxsize=8192)
def _script_of(char: str) -> str | None:
    """The national character sets tell: GB 2312 and Big5 against JIS X 0208 (Shift_JIS) and KS X 1001 (EUC-KR)."""
    if char == "々":
        return "ja"
    chinese = _encodes(char, "gb2312") or _encodes(char, "big5")
    if _encodes(char, "shift_jis"):
        return None if chinese else "ja"
    return "zh" if chinese and not _encodes(char, "euc_kr") else None


def _encodes_all(text: str, charset: str) -> bool:
    try:
        text.encode(charset)
    except UnicodeEncodeError:
        return False
    return True


@lru_cache(maxsize=32768)
def _encodes(char: str, charset: str) -> bool:
    return _encodes_all(char, charset)


def _inherit(tokens: _Tokens, han: Sequence[Sequence[int]], default: str) -> None:
    """Gives undecided Han runs the language of their clause, then of the neighbouring clauses, then the default."""
    languages = tokens.languages
    undecided = [[i for i in places if languages[i] is None] for places in han]
    if not any(undecided):
        return
    decided = [_clause_language(tokens, number, places) for number, places in enumerate(han)]
    for number, places in enumerate(undecided):
        if places:
            found = decided[number] or _neighbour_language(tokens.sentences, decided, number)
            decided[number] = language = found or _WITHOUT_HAN.get(default, default)
            for i in places:
                languages[i] = language


def _clause_language(tokens: _Tokens, number: int, han: Iterable[int]) -> str | None:
    of_han = next(filter(None, map(tokens.languages.__getitem__, han)), None)
    return of_han or next((x for x in tokens.languages[tokens.clause(number)] if x is not None and x != "en"), None)


def _neighbour_language(sentences: Sequence[int], decided: Sequence[str | None], i: int) -> str | None:
    around = [j for j in _outward(i, len(decided)) if decided[j]]
    same = next((decided[j] for j in around if sentences[j] == sentences[i]), None)
    return same or next((decided[j] for j in around), None)


def _outward(i: int, count: int, reach: int = 8) -> Iterator[int]:
    """Indices around `i`, nearest first, what precedes before what follows."""
    for distance in range(1, reach + 1):
        if i - distance >= 0:
            yield i - distance
        if i + distance < count:
            yield i + distance


def _attach_digits(tokens: _Tokens) -> None:
    """A number goes with the script that touches it, else with the Latin word before it, else with what follows."""
    languages = tokens.languages
    for i, kind in enumerate(tokens.kinds):
        if kind != "digits":
            continue
        before = languages[i - 1] if i else None
        after = languages[i + 1] if i + 1 < len(languages) else None
        if before == "en":
            languages[i] = "en"
        elif after:
            languages[i] = _after_number(tokens, i, after)
        elif before:
            languages[i] = before


def _after_number(tokens: _Tokens, i: int, language: str) -> str:
    """`iPhone 15降价` keeps 15 with the name; `3个iPhone` and `iPhone 3个` read it with the counter."""
    named = i >= 2 and tokens.texts[i - 1] in (" ", "-") and tokens.languages[i - 2] == "en"
    if named and language != "en" and tokens.texts[i + 1][0] not in "个個台部年月日号元块块岁歳歳円개명년월일원":
        return "en"
    return language


def _attach_others(tokens: _Tokens) -> None:
    """Marks and numbers still undecided: opening marks look ahead, everything else takes what precedes it."""
    languages, texts, kinds = tokens.languages, tokens.texts, tokens.kinds
    following: str | None = None
    for i in range(len(texts) - 1, -1, -1):
        language = languages[i]
        if language is not None:
            following = language
        elif kinds[i] == "other" and texts[i][-1] in _OPENING:
            languages[i] = following
    previous = next(filter(None, languages), None)
    for i, language in enumerate(languages):
        if language is None:
            languages[i] = previous
        else:
            previous = language


def _adopt_insertions(tokens: _Tokens, max_words: int) -> None:
    if "en" not in tokens.kinds:
        return
    for start, end in pairwise(tokens.clauses):
        if "en" not in tokens.languages[start:end]:
            continue
        host = next((i for i in range(start, end) if tokens.kinds[i] in ("han", "ja", "ko")), None)
        if host is not None:
            for first, last in _latin_runs(tokens.languages, start, end):
                if tokens.kinds[first:last].count("en") <= max_words:
                    tokens.languages[first:last] = [tokens.languages[host]] * (last - first)


def _latin_runs(languages: Sequence[str | None], start: int, end: int) -> Iterator[tuple[int, int]]:
    """Start and end of each row of tokens in English."""
    for language, run in groupby(languages[start:end]):
        first, start = start, start + len(list(run))
        if language == "en":
            yield first, start


def _merged(tokens: _Tokens, default: str) -> list[tuple[str, str]]:
    """Consecutive tokens of one language; without any language the text is one part of the default."""
    texts, languages = tokens.texts, tokens.languages
    if not texts:
        return []
    merged: list[tuple[str, str]] = []
    start, open_language = 0, languages[0]
    for i, language in enumerate(languages):
        if language != open_language:
            merged.append(("".join(texts[start:i]), open_language or default))
            start, open_language = i, language
    merged.append(("".join(texts[start:]), open_language or default))
    return merged
