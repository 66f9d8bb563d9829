"""Writes `tokenizer.json` and `tokenizer_config.json` from a plain vocabulary. Byte-level BPE only.

How a vocabulary cuts text before merging is a row of `SPLITTERS`; a name that is not there is refused, because
a wrong cut gives a model that answers nonsense instead of an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from osaurus_nb.errors import ModelRejected

#: Token types of GGUF: never split, and left out of the shown text; or only never split.
NORMAL, SPECIAL, ADDED = 1, 3, 4

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_QWEN2 = rf"{_WORDS}|\p{{N}}|{_REST}"
_LLAMA3 = rf"{_WORDS}|\p{{N}}{{1,3}}|{_REST}"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Tokens in the order of their ids, merges in the order of their rank, and the ids with a role."""

    tokens: Sequence[str]
    types: Sequence[int]
    merges: Sequence[tuple[str, str]] = ()
    splitter: str = "default"
    bos: int | None = None
    eos: int | None = None
    pad: int | None = None
    unknown: int | None = None
    add_bos: bool = False
    chat_template: str | None = None

    def spell(self, token_id: int | None) -> str | None:
        return None if token_id is None else self.tokens[token_id]


def write(vocabulary: Vocabulary, folder: Path, *, context_length: int, extra: Mapping[str, Any] | None = None) -> None:
    """Put both tokenizer files into `folder`. `extra` joins the configuration."""
    (folder / "tokenizer.json").write_text(build(vocabulary).to_str(), "utf-8")
    roles = {
        "bos_token": vocabulary.spell(vocabulary.bos),
        "eos_token": vocabulary.spell(vocabulary.eos),
        "pad_token": vocabulary.spell(vocabulary.pad),
        "unk_token": vocabulary.spell(vocabulary.unknown),
        "chat_template": vocabulary.chat_template,
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "add_bos_token": vocabulary.add_bos,
        "clean_up_tokenization_spaces": False,
        "model_max_length": context_length,
        **{name: text for name, text in roles.items() if text is not None},
        **(extra or {}),
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, ensure_ascii=False, indent=1), "utf-8")


def build(vocabulary: Vocabulary) -> Tokenizer:
    """The `tokenizers.Tokenizer` of this vocabulary. Raises ModelRejected when its splitter is not known."""
    splitter = SPLITTERS.get(vocabulary.splitter)
    if splitter is None:
        known = ", ".join(sorted(SPLITTERS))
        raise ModelRejected(f"The tokenizer splits text by {vocabulary.splitter!r}; only {known} are read.")
    tokenizer = Tokenizer(
        models.BPE(
            vocab={token: number for number, token in enumerate(vocabulary.tokens)},
            merges=list(vocabulary.merges),
            ignore_merges=vocabulary.splitter == "llama-bpe",
        )
    )
    splitter(tokenizer)
    tokenizer.decoder = decoders.ByteLevel()
    for kind, special in ((SPECIAL, True), (ADDED, False)):
        chosen = [token for token, type in zip(vocabulary.tokens, vocabulary.types, strict=True) if type == kind]
        add = tokenizer.add_special_tokens if special else tokenizer.add_tokens
        add([AddedToken(token, normalized=False, special=special) for token in chosen])
    if vocabulary.add_bos and vocabulary.bos is not None:
        _begin_with(tokenizer, vocabulary.tokens[vocabulary.bos], vocabulary.bos)
    return tokenizer


def _begin_with(tokenizer: Tokenizer, token: str, number: int) -> None:
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[token, "$A"], pair=[token, "$A", "$B"], special_tokens=[(token, number)]
    )


def _plain(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)


def _smollm(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )


def _qwen2(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.NFC()
    _by_pattern(tokenizer, _QWEN2)


def _llama3(tokenizer: Tokenizer) -> None:
    _by_pattern(tokenizer, _LLAMA3)


def _by_pattern(tokenizer: Tokenizer, pattern: str) -> None:
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )


SPLITTERS: Mapping[str, Callable[[Tokenizer], None]] = {
    "default": _plain,
    "gpt-2": _plain,
    "smollm": _smollm,
    "qwen2": _qwen2,
    "llama-bpe": _llama3,
}
