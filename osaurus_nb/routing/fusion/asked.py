"""Whether a question wants several models: by the name it asks for, by our marker, by what it is about. Pure.

The marker is a tool of ours in a body. `required`, or named by the tool choice: always. `auto`: where the last turn
asks to compare, to review, to weigh risks or to decide, and is no small matter. `none`: never.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

from osaurus_nb.errors import RequestError
from osaurus_nb.ports import Terms
from osaurus_nb.request import ChatRequest
from osaurus_nb.routes import Fusion, Profile
from osaurus_nb.routing.intent import classify
from osaurus_nb.routing.profiles import Profiles

Kind = Literal["comparison", "review", "risk", "decision"]
_NAME = "fusion"
#: So sure must we be of what a turn is about before several models are asked of ourselves.
SURE = 0.5
#: Of a turn so much is looked at, half of it from each end.
_READ = 4_000


def fusion(request: ChatRequest, profile: Profile | None, terms: Terms) -> Fusion | None:
    """How many are asked, if this question wants it. Raises RequestError where a panel would open a panel."""
    by_name = profile is not None and profile.fusion is not None
    if not by_name and request.route.fusion is None:
        return None
    required = by_name or request.route.fusion == "required"
    if terms.fusion_depth:
        if required:
            raise RequestError("Who sits on a panel cannot open one: a model is asked there, not a fusion.")
        return None
    if not required and not worth_it(request if terms.sent is None else terms.sent.read()):
        return None
    if profile is None:  # the model that was asked for judges, and writes the answer
        return Fusion(judge=request.model)
    return profile.fusion or Fusion()


def under(profile: Profile | None, fusion: Fusion, profiles: Profiles | None) -> Profile:
    """The profile by which the panel is chosen: the one that is asked for, else the one that is called fusion."""
    found = profile or (profiles.find(_NAME) if profiles is not None else None) or Profile(_NAME, mode="best")
    return replace(found, chain=max(found.chain, fusion.panel), sticky=False)


def worth_it(request: ChatRequest) -> bool:
    """Does the last turn ask for work at which several heads are better? Never in the middle of a tool's turn."""
    if not request.messages or request.messages[-1].role != "user":
        return False
    text = request.messages[-1].text
    if kind(text) is None:
        return False
    found = classify(request)
    sure = found.confidence if found.label != "chat" else found.confidence * (found.complexity != "low")
    return found.label != "creative" and sure >= SURE


def kind(text: str) -> Kind | None:
    """What a turn asks for, of those four, by its words; None for anything else."""
    read = text if len(text) <= _READ else f"{text[: _READ // 2]}\n{text[-_READ // 2 :]}"
    return next((kind for kind, words in _WORDS.items() if words.search(read)), None)


def _words(spaced: str, unspaced: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{spaced})|{unspaced}", re.IGNORECASE)


#: Words in English, German, French, Spanish, Portuguese, Italian and Russian, and in Chinese and Japanese.
_WORDS: Mapping[Kind, re.Pattern[str]] = MappingProxyType(
    {
        "comparison": _words(
            r"compar(?:e|ing|ison)\b|versus\b|vs\b|differences? between|pros and cons|trade-?offs?\b|vergleich"
            r"|vor-? und nachteile|compare[rz]|comparar|comparaison|comparación|comparação|confronta|сравни",
            r"比较|比較|对比|優缺|优缺",
        ),
        "review": _words(
            r"review\b|critique\b|audit\b|second opinion|what is wrong with|überprüf|begutacht|prüfe\b|relire|évalue"
            r"|revisa\b|revise\b|revisar|valuta\b|проверь|оцени",
            r"审查|评审|審查|レビュー",
        ),
        "risk": _words(
            r"risks?\b|risky\b|failure modes?\b|threat model|what could go wrong|vulnerabilit|risik|risques?\b"
            r"|riesgos?\b|riscos?\b|rischi\b|риск",
            r"风险|風險|リスク",
        ),
        "decision": _words(
            r"should (?:i|we)\b|decide\b|decision\b|which (?:one|option|approach|of)|recommend|choose between|entscheid"
            r"|soll(?:te|ten)? (?:ich|wir)\b|devrais-je|devons-nous|décision|debería|decisión|devo\b|dovrei\b|стоит ли",
            r"应该|應該|选择|選擇|べき",
        ),
    }
)
