"""What can be seen in a prompt, as a set of named features. Pure: text in, names out; it judges nothing.

Words count by what they mean (`intent_words.json`: word or phrase -> concept, nine languages), never by what letters
they contain: `recode` holds no `code`. Code is taken out of the prose before words are looked up, and so are longer
quotations: what they say is not what is asked for. A text is read at its head and its tail, so any length costs about
the same.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

#: Characters read of a long text, and then of the prose in it: what is wanted stands at the beginning or the end.
HEAD, TAIL = 2_000, 800
_PROSE_HEAD, _PROSE_TAIL = 600, 240
#: The same for Chinese and Japanese, which say three times as much in as many letters.
_DENSE_HEAD, _DENSE_TAIL = 220, 80

#: Words of a turn that may be a bare follow-up (`yes`, `go on`); in a longer one such words say nothing.
_FOLLOW_UP = 8

_FENCE = re.compile(r"```([\w+#-]*)[^\n]*\n?(.*?)(?:```|\Z)", re.DOTALL)
_QUOTED = re.compile(r"[\"“„«「]([^\"“”„»」\n]{16,})[\"”“»」]")
_CODE_WORDS = (
    "def",
    "class",
    "import",
    "from",
    "public",
    "private",
    "static",
    "const",
    "let",
    "var",
    "return",
    "func",
    "fn",
    "export",
    "package",
    "using",
    "if",
    "for",
    "while",
    "switch",
    "function",
    "#include",
    "@",
    "async",
    "elif",
    "catch",
    "print(",
)
_CODE_LINE = re.compile(
    r"(?:(?:def|class|import|from|public|private|static|const|let|var|return|func|fn|export|package|using|async)\s"
    r".*[(){}=:;<]|#include\b|(?:if|for|while|switch|function|elif|catch)\b.*[({:]|@\w+\(|print\()"
)
_QUERY = re.compile(
    r"(?:SELECT|UPDATE|INSERT|DELETE|EXPLAIN|select \S+ from)\s.*(?:FROM|SET|VALUES|WHERE|from|where)\s"
)
_ASSIGNED = re.compile(r"[\w.]+ [-+]?= .*[(\[{]")
_WORD = re.compile(r"[^\W_]\w*(?:[-'’]\w+)*(?:\+\+|#)?")
_ASCII_WORD = re.compile(r"[a-z][a-z0-9]*(?:[-'][a-z0-9]+)*(?:\+\+|#)?")
_DENSE_LETTER = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_CLAUSE = re.compile(r"[，。、；：！？,.:;!?\n]")
#: What is seen by its form: a name; strings of which one must be there; and a pattern, if that is not enough.
_MARKS: tuple[tuple[str, tuple[str, ...], re.Pattern[str] | None], ...] = tuple(
    (f"s:{name}", needed, re.compile(pattern, re.MULTILINE) if pattern else None)
    for name, needed, pattern in (
        ("trace", ("Traceback (", "\n    at ", "\tat ", 'File "', "panicked at"), ""),
        ("error", ("Error", "Exception"), r"(?:Error|xception)\b(?:(?<=[a-z]Error)|(?<=[a-z]Exception))"),
        (
            "fault",
            ("errno", "OOMKilled", "SIG", "ECONN", "ENOENT", "Cannot ", "Could not ", "not found", "refused"),
            "",
        ),
        ("diff", ("\n@@ ", "\n+++ "), ""),
        ("snake", ("_",), r"_(?<=[a-z0-9]_)[a-z]"),
        ("camel", ("",), r"[A-Z](?<=[a-z][A-Z])"),
        ("call", ("(",), r"\((?<=\w\()[^)\n]{0,60}\)"),
        ("file", (".",), r"\.(?:py|js|tsx?|java|rs|go|cpp|[ch]|rb|php|sh|sql|ya?ml|json|toml|css|html|ipynb|csv)\b"),
        ("document", (".",), r"\.(?:md|rst|txt|docx?|pdf)\b"),
        ("path", ("/",), r"\s[\w.~-]*/[\w.-]"),
        ("inline", ("`",), r"`[^`\n]+`"),
        ("flag", (" -",), r" --?[a-z]"),
        ("dotted", (".",), r"\.(?<=[a-z]{2}\.)[a-z]{2}"),
        ("operator", ("=>", "->", "==", "!=", "&&", "||", "+=", "::", "</"), ""),
        ("power", ("^",), r"\^\s?[\dn({]"),
        ("maths", tuple("∫∑√≤≥∈∀∃π"), ""),
        ("equals", ("=",), r"=\s?-?\d"),
        ("f(x)", ("f(x)", "f(n)", "g(x)", "\\frac"), ""),
        ("percent", ("%", "％"), r"[%％](?:(?<=\d[%％])|(?<=\d\s[%％]))"),
        ("sum", ("+", "*", "/", "×", "÷", ":"), r"[-+*/×÷:]\s?\d(?:(?<=\d[-+*/×÷:]\d)|(?<=\d\s[-+*/×÷:]\s\d))"),
        ("number", ("",), r"\d"),
        ("decimal", ("",), r"\d\d"),
        ("asks", ("?", "？"), ""),
        ("exclaims", ("!", "！"), ""),
        ("dots", ("...", "…"), ""),
        ("list", ("\n-", "\n*", "\n1", "\n•"), ""),
        ("quote", tuple('"“„«「'), ""),
        ("colon", (": ", ":\n", "：", ':"'), ""),
    )
)


#: The field that a concept belongs to.
_FIELD: Mapping[str, str] = {
    concept: field
    for field, concepts in {
        "machine": ("n.code", "n.lang", "n.tech", "n.error", "v.build"),
        "thought": ("n.math", "n.logic", "n.decide", "v.calc", "v.analyze"),
        "art": ("n.creative", "v.imagine"),
        "rework": ("n.smell", "v.refactor"),
        "manual": ("n.docs", "v.document"),
        "day": ("n.life", "n.hello", "n.mail", "n.fact", "n.know", "v.text", "v.advise"),
        "nothing": ("r.continue",),
    }.items()
    for concept in concepts
}


@dataclass(frozen=True, slots=True)
class Words:
    """Which concepts a word, a word's beginning, two words in a row, or a string of Chinese or Japanese stand for."""

    whole: Mapping[str, tuple[str, ...]]
    stems: Mapping[str, Sequence[tuple[str, tuple[str, ...]]]]  # by their first three letters, longest first
    pairs: Mapping[str, Mapping[str, tuple[str, ...]]]
    dense: Mapping[str, Sequence[tuple[str, tuple[str, ...]]]]  # by their first letter, longest first


@cache
def words() -> Words:
    """The table of words; read once, at the first question."""
    table: Mapping[str, Mapping[str, str]] = json.loads((files(__package__) / "intent_words.json").read_bytes())
    return gathered(table)


def gathered(table: Mapping[str, Mapping[str, str]]) -> Words:
    """`{concept: {language: "word stem* two_words"}}` made ready to be looked up. Accents may be left out."""
    whole: dict[str, tuple[str, ...]] = {}
    stems: dict[str, tuple[str, ...]] = {}
    pairs: dict[str, dict[str, tuple[str, ...]]] = {}
    dense: dict[str, tuple[str, ...]] = {}
    for concept, language, entry in _entries(table):
        if language in {"zh", "ja"}:
            _put(dense, entry, concept)
        elif "_" in entry:
            first, second = entry.split("_", 1)
            _put(pairs.setdefault(first, {}), second.rstrip("*"), concept)
        elif entry.endswith("*"):
            _put(stems, entry[:-1], concept)
        else:
            _put(whole, entry, concept)
    return Words(whole, _by_beginning(stems, 3), pairs, _by_beginning(dense, 1))


def _entries(table: Mapping[str, Mapping[str, str]]) -> Iterator[tuple[str, str, str]]:
    for concept, languages in table.items():
        for language, entries in languages.items():
            for entry in entries.split():
                bare = entry if language in {"zh", "ja", "ru"} else _without_accents(entry)
                yield from ((concept, language, each) for each in {entry, bare})


def _by_beginning(stems: Mapping[str, tuple[str, ...]], letters: int) -> dict[str, list[tuple[str, tuple[str, ...]]]]:
    grouped: dict[str, list[tuple[str, tuple[str, ...]]]] = {}
    for stem in sorted(stems, key=len, reverse=True):
        grouped.setdefault(stem[:letters], []).append((stem, stems[stem]))
    return grouped


def _without_accents(word: str) -> str:
    return "".join(letter for letter in unicodedata.normalize("NFKD", word) if not unicodedata.combining(letter))


def _put(table: dict[str, tuple[str, ...]], entry: str, concept: str) -> None:
    known = table.get(entry, ())
    if concept not in known:
        table[entry] = (*known, concept)


def clip(text: str, head: int = HEAD, tail: int = TAIL) -> str:
    """The head and the tail of a text that is longer than both."""
    return text if len(text) <= head + tail else f"{text[:head]}\n{text[-tail:]}"


def features(text: str) -> list[str]:
    """The names of all that is seen in the text, each once, in the order in which it was found."""
    text = clip(text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    prose, code, language = _apart(text)
    folded = prose.casefold()
    dense = not folded.isascii() and _DENSE_LETTER.search(folded) is not None
    if dense:
        folded = clip(folded, _DENSE_HEAD, _DENSE_TAIL)
        found = [(match.start() // 2, match[0]) for match in _ASCII_WORD.finditer(folded)]
        tokens = [word for _, word in found]
        hits = [(found[place][0], concept) for place, concept in _concepts(tokens)]
        hits = sorted(hits + list(_dense_concepts(folded)))
        size = len(tokens) + (len(folded.encode()) - len(folded)) // 4  # three bytes each; two letters are a word
    else:
        tokens = _WORD.findall(folded)
        hits = list(_concepts(tokens))
        size = len(tokens)
    if size > _FOLLOW_UP:
        hits = [hit for hit in hits if hit[1] != "r.continue"]
    counts: dict[str, int] = {}
    for _, concept in hits:
        counts[concept] = counts.get(concept, 0) + 1
    names = ["bias", *_counted(counts), *_fields(counts, prose)]
    names += _meanings(hits, _object_of_dense(folded) if dense else None)
    names += _marks(prose, code)
    names += _sizes(prose, code, size, counts)
    if language:
        names.append(f"fence:{language.casefold()}")
    names += map("w:".__add__, tokens)
    return list(dict.fromkeys(names))


def _apart(text: str) -> tuple[str, str, str]:
    """Prose without code and long quotations; the code; the language that a fence names."""
    code, language = [], ""
    if "```" in text:
        for found in _FENCE.finditer(text):
            language = language or found[1] or "?"
            code.append(found[2])
        text = _FENCE.sub(" ", text)
    text = clip(text, _PROSE_HEAD, _PROSE_TAIL)
    prose, coded = _lines(text)
    code.extend(coded)
    text = prose if len(prose.split()) > 2 else text
    if any(mark in text for mark in '"“„«「'):
        bare = _QUOTED.sub(' "" ', text)
        text = bare if len(bare) > 12 else text
    return text, "\n".join(code), language


def _lines(text: str) -> tuple[str, list[str]]:
    """Lines of prose in one, and lines of code; what is indented below code is code."""
    prose: list[str] = []
    code: list[str] = []
    below = False
    for line in text.split("\n"):
        below = _is_code(line.strip()) or (below and line[:1] in {" ", "\t"} and not line.isspace())
        (code if below else prose).append(line)
    return (" ".join(prose) if code else text), code


def _is_code(line: str) -> bool:
    """Whether a line outside of any fence is most likely code."""
    if line.endswith((";", "{", "}", "};", ");", "})")):
        return True
    if line.startswith(_CODE_WORDS) and _CODE_LINE.match(line):
        return True
    return (" = " in line[:40] and _ASSIGNED.match(line) is not None) or _QUERY.match(line) is not None


def _concepts(tokens: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Where which concept is named. A word that is not known whole is tried by its beginnings, longest first."""
    table = words()
    whole, stems, pairs = table.whole, table.stems, table.pairs
    last = len(tokens) - 1
    for place, token in enumerate(tokens):
        if token in pairs and place < last:
            for concept in pairs[token].get(tokens[place + 1], ()):
                yield place, concept
        found = whole.get(token)
        if found is None and ("'" in token or "’" in token):
            word = token.replace("’", "'").rpartition("'")[2]  # l'option, d'un
            found = whole.get(word)
        else:
            word = token
        if found is None:
            for stem, concepts in stems.get(word[:3], ()):
                if word.startswith(stem):
                    found = concepts
                    break
        if found is not None:
            for concept in found:
                yield place, concept


def _dense_concepts(text: str) -> Iterator[tuple[int, str]]:
    """The same for a script without spaces: at every letter the longest word that is known, and none inside of it."""
    table = words().dense
    end = 0
    for place, letter in enumerate(text):
        if letter not in table or place < end:
            continue
        for entry, concepts in table[letter]:
            if text.startswith(entry, place):
                end = place + len(entry)
                for concept in concepts:
                    yield place // 2, concept
                break


def _object_of_dense(text: str) -> tuple[int, int]:
    """Where the first clause begins and ends: in Chinese and Japanese, what it is about is its last noun."""
    end = _CLAUSE.search(text, min(8, len(text)))
    return 0, ((end.start() if end else len(text)) + 1) // 2


def _counted(counts: Mapping[str, int]) -> Iterator[str]:
    for concept, times in counts.items():
        yield concept
        if times > 1:
            yield f"{concept}+"
            if times > 3:
                yield f"{concept}++"


def _fields(counts: Mapping[str, int], prose: str) -> Iterator[str]:
    """Which fields the concepts belong to, which of them most, and which two meet."""
    amounts: dict[str, int] = {}
    for concept, times in counts.items():
        if concept in _FIELD:
            amounts[_FIELD[concept]] = amounts.get(_FIELD[concept], 0) + times
    asks = "asks" if "?" in prose or "？" in prose else "says"
    if not amounts:
        yield f"{asks}&none"
        return
    top = max(amounts.values())
    best = [field for field, amount in amounts.items() if amount == top]
    yield from (f"top:{field}" for field in best)
    if len(best) == 1:
        yield f"clearly:{best[0]}"
        yield f"{asks}&{best[0]}"
    if len(amounts) == 1:
        yield f"only:{best[0]}"
    ordered = sorted(amounts)
    for place, field in enumerate(ordered):
        yield from (f"{field}&{other}" for other in ordered[place + 1 :])


def _meanings(hits: Sequence[tuple[int, str]], clause: tuple[int, int] | None) -> Iterator[str]:
    """Which concept comes first and last, what is done first, and to which thing."""
    verbs = [(place, concept) for place, concept in hits if concept[0] == "v"]
    nouns = [(place, concept) for place, concept in hits if concept[0] == "n"]
    if hits:
        yield from (f"start:{concept}" for place, concept in hits if place == hits[0][0])
    if nouns:
        yield from (f"first:{concept}" for place, concept in nouns if place == nouns[0][0])
        yield from (f"last:{concept}" for place, concept in nouns if place == nouns[-1][0])
    at = verbs[0][0] if verbs else -1
    does = [concept for place, concept in verbs if place == at]
    yield from (f"does:{concept}" for concept in does)
    if 0 <= at <= 2:
        yield from (f"soon:{concept}" for concept in does)
    thing = _thing(at, [place for place, _ in nouns], clause)
    for noun in (concept for place, concept in nouns if place == thing):
        yield f"to:{noun}"
        yield from (f"{concept}>{noun}" for concept in does)


def _thing(verb: int, nouns: Sequence[int], clause: tuple[int, int] | None) -> int | None:
    """Where the thing stands that the verb is about: right after it, or last in its clause."""
    if clause is not None and (inside := [place for place in nouns if clause[0] <= place < clause[1]]):
        return inside[-1]
    return next((place for place in nouns if place > verb), None)


def _marks(prose: str, code: str) -> Iterator[str]:
    text = f"{prose}\n{code[:400]}" if code else prose
    for name, needed, pattern in _MARKS:
        for each in needed:
            if each in text:
                if pattern is None or pattern.search(text):
                    yield name
                break
    if prose.rstrip()[-1:] in {"?", "？"}:
        yield "s:question"


def _sizes(text: str, code: str, size: int, counts: Mapping[str, int]) -> Iterator[str]:
    """How much there is of what, in steps that add up: a feature for every step that was reached."""
    acts = sum(times for concept, times in counts.items() if concept[0] == "v")
    meaning = acts + sum(times for concept, times in counts.items() if concept[0] == "n")
    amounts: tuple[tuple[str, int, tuple[int, ...]], ...] = (
        ("words", size, (2, 4, 7, 12, 18, 25, 35, 50, 80, 150)),
        ("known", meaning, (1, 2, 3, 5, 8, 12)),
        ("code", code.count("\n") + 1 if code else 0, (1, 3, 8, 20)),
        ("sentences", sum(map(text.count, (". ", "? ", "! ", ";", "。", "？", "！"))) + 1, (2, 3, 4, 6)),
        ("commas", sum(map(text.count, ",:，、：")), (1, 2, 3, 4, 6, 8)),
        ("must", counts.get("c.must", 0), (1, 2, 3, 4, 6)),
        ("scale", counts.get("c.scale", 0), (1, 2, 3)),
        ("acts", acts, (1, 2, 3, 4, 6)),
    )
    for name, amount, steps in amounts:
        for step in steps:
            if amount < step:
                break
            yield f"{name}>={step}"
    if not meaning:
        yield "silent" if size < 4 else "mute"
    elif meaning < 2 and size < 7:
        yield "vague"
