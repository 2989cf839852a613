"""Says which language each part of a mixed text is in: zh, en, ja, ko or yue, from scripts, marker words and clauses.

Latin letters, kana and hangul say it themselves. Han characters are shared by four of the five languages; a run of
them is decided by, in this order: characters that only one language writes, marker words, the nearest kana or hangul
of the same clause, the neighbouring clauses, and at last the caller's default.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter

HAN_CLASS = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
KANA_CLASS = "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9f"
HANGUL_CLASS = "\u1100-\u11ff\u3131-\u318e\ua960-\ua97f\uac00-\ud7fb"

_OPENING = "“‘「『《〈（(【[〔{＜<#@$¥￥€£"
_TOKENS = re.compile(
    rf"(?P<han>[{HAN_CLASS}]+)|(?P<ja>[{KANA_CLASS}]+)|(?P<ko>[{HANGUL_CLASS}]+)"
    rf"|(?P<digits>[0-9０-９]+)"
    rf"|(?P<en>[^\W\d_{HAN_CLASS}{KANA_CLASS}{HANGUL_CLASS}]+)"
    rf"|(?P<other>(?:(?![{re.escape(_OPENING)}])(?:[^\w]|_))+|[{re.escape(_OPENING)}]+|\w)"
)
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
class _Token:
    kind: str  # han, digits, other, or a language
    text: str
    clause: int
    sentence: int
    language: str | None


def spans(text: str, default: str | None = None) -> list[tuple[str, str]]:
    """Consecutive (part, language) pairs whose parts join to `text`; `default` decides Han characters that do not say.

    Numbers, spaces and punctuation go with a neighbour: closing marks with what precedes, opening marks with what
    follows. Text without any letter is one span of the default.
    """
    default = default or "zh"
    if default in _FOREIGN_LETTER and not _FOREIGN_LETTER[default].search(text):
        return [(text, default)]
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


def _decided(text: str, default: str) -> list[_Token] | None:
    """Tokens with their languages; None for a text that is Chinese from its first to its last character."""
    is_chinese = default == "zh" and _is_simplified_chinese(text)
    if is_chinese and text and not _LETTER.search(text):
        return None
    tokens = list(_tokens(text, _CHINESE_TOKENS if is_chinese else _TOKENS))
    if is_chinese:
        for token in tokens:
            if token.kind == "han":
                token.language = "zh"
    else:
        tokens = _with_quoted_words(tokens)
        _decide_han(tokens, default)
    _attach_digits(tokens)
    _attach_others(tokens)
    return tokens


def _is_simplified_chinese(text: str) -> bool:
    """Whether nothing in a text that is Chinese by default speaks for another language of its Han characters.

    GB 2312 has neither the characters of other languages nor traditional ones, but for 々.
    """
    if _OTHER_SCRIPT.search(text):
        return False
    han = _HAN.findall(text)
    return _encodes_all("".join(han), "gb2312") and not any(map(_CANTONESE.search, han))


def _tokens(text: str, pattern: re.Pattern[str]) -> Iterator[_Token]:
    clause = sentence = 0
    for match in pattern.finditer(text):
        kind = match.lastgroup or "other"
        part = match.group()
        language = kind if kind in ("ja", "ko", "en") else None
        yield _Token(kind, part, clause, sentence, language)
        if kind == "other":
            ends_clause, ends_sentence = _ends(part, text[match.end() : match.end() + 1])
            clause += ends_clause
            sentence += ends_sentence


def _with_quoted_words(tokens: list[_Token]) -> list[_Token]:
    """Takes Japanese words out of Chinese runs: 日本語 in simplified text, 抹茶 after a verb and before ラテ."""
    han = [token for token in tokens if token.kind == "han"]
    simplified = {token.sentence for token in han if any(map(_is_chinese_simplified, token.text))}
    separated: list[_Token] = []
    for i, token in enumerate(tokens):
        if token.kind != "han":
            separated.append(token)
            continue
        following = tokens[i + 1].text if i + 1 < len(tokens) else ""
        start, end = _japanese_word(token.text, following, token.sentence in simplified)
        if start == end:
            separated.append(token)
            continue
        around = None if _CANTONESE.search(token.text) else "zh"
        parts = ((token.text[:start], around), (token.text[start:end], "ja"), (token.text[end:], around))
        separated += [_Token("han", part, token.clause, token.sentence, language) for part, language in parts if part]
    return separated


def _japanese_word(run: str, following: str, is_simplified: bool) -> tuple[int, int]:
    """Where a run has a word in Japanese spelling among Chinese ones; an empty range if nowhere."""
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


def _decide_han(tokens: list[_Token], default: str) -> None:
    clauses = _by_clause(tokens)
    chinese = {token.sentence for token in tokens if token.kind == "han" and is_chinese_only(token.text)}
    for clause in clauses:
        _decide_clause(clause, clause[0].sentence in chinese)
    _spread_cantonese(clauses)
    _inherit(clauses, default)


def _by_clause(tokens: list[_Token]) -> list[list[_Token]]:
    clauses: list[list[_Token]] = []
    for token in tokens:
        if not clauses or clauses[-1][0].clause != token.clause:
            clauses.append([])
        clauses[-1].append(token)
    return clauses


def _decide_clause(clause: list[_Token], is_in_chinese: bool) -> None:
    han = [i for i, token in enumerate(clause) if token.kind == "han"]
    if not han:
        return
    if any(_CANTONESE.search(clause[i].text) for i in han):
        for i in han:
            clause[i].language = clause[i].language or (_near_kana(clause, i) and "ja") or "yue"
        return
    was_chinese, may_go_on, nearest = False, _may_go_on_in_chinese(clause), _nearest_scripts(clause)
    for i in han:
        if clause[i].language is None:
            introduces = is_in_chinese and i + 1 < len(clause) and clause[i + 1].text[-1] in _OPENING
            goes_on = was_chinese and may_go_on and clause[i - 1].kind != "han"
            clause[i].language = "zh" if introduces or goes_on else _own_language(clause, i, nearest[i])
        was_chinese = was_chinese or clause[i].language == "zh"


def _may_go_on_in_chinese(clause: list[_Token]) -> bool:
    """Whether a clause that was Chinese before a name in katakana, and has no hiragana, goes on after the name."""
    return clause[-1].kind != "ja" and all(_KATAKANA.match(token.text) for token in clause if token.kind == "ja")


def _spread_cantonese(clauses: list[list[_Token]]) -> None:
    """Cantonese shares most words with Mandarin: clauses of its sentence that only those words decided go with it."""
    sentences = {clause[0].sentence for clause in clauses if any(token.language == "yue" for token in clause)}
    for clause in clauses:
        if clause[0].sentence not in sentences or clause[-1].text.rstrip()[-1:] in ("：", ":"):
            continue
        for token in clause:
            if token.kind == "han" and token.language == "zh" and not _is_simplified(token.text):
                token.language = "yue"


def _is_simplified(run: str) -> bool:
    return any(_encodes(char, "gb2312") and not _encodes(char, "big5") for char in run)


def _near_kana(clause: list[_Token], i: int) -> bool:
    """Whether a Han run of a Cantonese clause is Japanese: kana touches it and it has no marker of its own."""
    touches = any(0 <= j < len(clause) and clause[j].kind == "ja" for j in (i - 1, i + 1))
    return touches and not _CANTONESE.search(clause[i].text) and not is_chinese_only(clause[i].text)


def _own_language(clause: list[_Token], i: int, neighbour: str | None) -> str | None:
    run = clause[i].text
    if is_chinese_only(run):
        return "zh"
    if neighbour == "ja":
        return "zh" if _is_chinese_beside_kana(clause, i) else "ja"
    if neighbour == "ko":
        is_root = i + 1 < len(clause) and _HANGUL_VERB.match(clause[i + 1].text)
        return "zh" if _chinese_score(run) >= 1 and not is_root else "ko"
    if _is_shinjitai(run) or _mixes_spellings(run):
        return "ja"
    if _chinese_score(run) >= 1:
        return "zh"
    return "ja" if _JAPANESE_ALONE.search(run) else None


def _nearest_scripts(clause: list[_Token]) -> list[str | None]:
    """For each token the language of the nearest kana or hangul, counted in characters; what follows wins a tie."""
    before, after = _distances(clause), _distances(clause[::-1])[::-1]
    nearest = [min(pair, key=itemgetter(0)) for pair in zip(after, before, strict=True)]
    return [language if distance < _MAX_REACH else None for distance, language in nearest]


def _distances(clause: list[_Token]) -> list[tuple[int, str]]:
    """For each token how many characters lie between it and the last kana or hangul before it, and its language."""
    found: list[tuple[int, str]] = []
    distance, language = _MAX_REACH, ""
    for token in clause:
        found.append((distance, language))
        is_one = token.kind in ("ja", "ko")
        distance, language = (0, token.kind) if is_one else (distance + len(token.text), language)
    return found


def _is_chinese_beside_kana(clause: list[_Token], i: int) -> bool:
    run = clause[i].text
    before, after = _beside(clause, i, -1), _beside(clause, i, 1)
    if after and run[-1] == "叫" and after[0] not in "ばびぶべぼん":
        return True
    if after and _PARTICLE_BEFORE_KANA.search(run):
        return not (run[-1] in "的了在" and after[0] in _AFTER_JAPANESE_TEKI + "しすさせるり")
    if before and _PARTICLE_AFTER_KANA.search(run) and not (run in "的" and after[:1] in _AFTER_JAPANESE_TEKI):
        return True
    return _chinese_score(run) >= 2


def _beside(clause: list[_Token], i: int, step: int) -> str:
    """The kana next to a run, looking past brackets and quotes, or nothing."""
    j = i + step
    if 0 <= j < len(clause) and clause[j].kind == "other":
        j += step
    return clause[j].text if 0 <= j < len(clause) and clause[j].kind == "ja" else ""


def _chinese_score(run: str) -> int:
    """0: nothing says Chinese, 1: one function word, 2: certain enough to stand beside kana."""
    rest = _SHARED_WORDS.sub("", run)
    if _CHINESE_ALONE.search(rest):
        return 2
    return min(len(_CHINESE_FUNCTION.findall(rest)), 2)


def is_chinese_only(run: str) -> bool:
    """Whether a character of the run is written in Chinese but not in Japanese (nor in Korean)."""
    return any(_script_of(char) == "zh" for char in run)


def _is_shinjitai(run: str) -> bool:
    return any(_script_of(char) == "ja" for char in run)


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


def _inherit(clauses: list[list[_Token]], default: str) -> None:
    """Gives undecided Han runs the language of their clause, then of the neighbouring clauses, then the default."""
    decided = [_clause_language(clause) for clause in clauses]
    for i, clause in enumerate(clauses):
        undecided = [token for token in clause if token.kind == "han" and token.language is None]
        if not undecided:
            continue
        language = decided[i] or _neighbour_language(clauses, decided, i) or _WITHOUT_HAN.get(default, default)
        decided[i] = language
        for token in undecided:
            token.language = language


def _clause_language(clause: list[_Token]) -> str | None:
    return next((token.language for token in clause if token.kind == "han" and token.language), None) or next(
        (token.language for token in clause if token.language not in (None, "en")), None
    )


def _neighbour_language(clauses: list[list[_Token]], decided: list[str | None], i: int) -> str | None:
    sentence = clauses[i][0].sentence
    same = (decided[j] for j in _outward(i, len(clauses)) if clauses[j][0].sentence == sentence)
    anywhere = (decided[j] for j in _outward(i, len(clauses)))
    return next((language for language in same if language), None) or next((x for x in anywhere if x), None)


def _outward(i: int, count: int, reach: int = 8) -> Iterator[int]:
    """Indices around `i`, nearest first, what precedes before what follows."""
    for distance in range(1, reach + 1):
        if i - distance >= 0:
            yield i - distance
        if i + distance < count:
            yield i + distance


def _attach_digits(tokens: list[_Token]) -> None:
    """A number goes with the script that touches it, else with the Latin word before it, else with what follows."""
    for i, token in enumerate(tokens):
        if token.kind != "digits":
            continue
        before = tokens[i - 1] if i else None
        after = tokens[i + 1] if i + 1 < len(tokens) else None
        if before and before.language == "en":
            token.language = "en"
        elif after and after.language:
            token.language = _after_number(tokens, i, after.language)
        elif before and before.language:
            token.language = before.language


def _after_number(tokens: list[_Token], i: int, language: str) -> str:
    """`iPhone 15降价` keeps 15 with the name; `3个iPhone` and `iPhone 3个` read it with the counter."""
    named = i >= 2 and tokens[i - 1].text in (" ", "-") and tokens[i - 2].language == "en"
    if named and language != "en" and tokens[i + 1].text[0] not in "个個台部年月日号元块块岁歳歳円개명년월일원":
        return "en"
    return language


def _attach_others(tokens: list[_Token]) -> None:
    """Marks and numbers still undecided: opening marks look ahead, everything else takes what precedes it."""
    following: str | None = None
    for token in reversed(tokens):
        if token.language is None and token.kind == "other" and token.text[-1] in _OPENING:
            token.language = following
        elif token.language is not None:
            following = token.language
    previous = next((token.language for token in tokens if token.language), None)
    for token in tokens:
        if token.language is None:
            token.language = previous
        previous = token.language


def _adopt_insertions(tokens: list[_Token], max_words: int) -> None:
    for clause in _by_clause(tokens):
        host = next((t.language for t in clause if t.kind in ("han", "ja", "ko")), None)
        if host is None:
            continue
        for run in _latin_runs(clause):
            if sum(token.kind == "en" for token in run) <= max_words:
                for token in run:
                    token.language = host


def _latin_runs(clause: list[_Token]) -> Iterator[list[_Token]]:
    run: list[_Token] = []
    for token in clause:
        if token.language == "en":
            run.append(token)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _merged(tokens: list[_Token], default: str) -> list[tuple[str, str]]:
    merged: list[tuple[str, str]] = []
    for token in tokens:
        language = token.language or default
        if merged and merged[-1][1] == language:
            merged[-1] = merged[-1][0] + token.text, language
        else:
            merged.append((token.text, language))
    return merged
