"""What a card tells of a model, read once and kept beside it: size, price, place, what it is good for. Pure.

Nothing here knows a vendor. What a card does not tell is estimated from what it does, and marked as not known.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from osaurus_nb.catalog.capabilities import talks
from osaurus_nb.models import LOCAL, LOCAL_CLASSES, Capabilities, ModelCard
from osaurus_nb.routes import Label

#: Billions of parameters in an id: `70b`, `8x7b`, `1.5b`, `e4b`; of `30b-a3b` the first, and three of them work at a
#: time. Millions: `360m`.
_BILLIONS = re.compile(r"(?<![a-z0-9.])e?(?:(\d{1,3})x)?(\d{1,4}(?:\.\d+)?)b(?![a-z0-9])")
_ACTIVE = re.compile(r"-a(\d{1,3}(?:\.\d+)?)b(?![a-z0-9])")
_MILLIONS = re.compile(r"(?<![a-z0-9.])(\d{2,3})m(?![a-z0-9])")
#: How many bytes a parameter takes, by what an id says of its precision.
_PRECISION = ((re.compile(r"(?:bf|fp|f)16"), 2.0), (re.compile(r"8[-_]?bit|q8|fp8|int8"), 1.05))
_FOUR_BITS = 0.6
#: Words for a light model, and for what a model was made to do, in any vendor's names.
_LIGHT = re.compile(r"(?<![a-z])(?:mini|nano|micro|tiny|small|lite|light|fast|instant|turbo)(?![a-z])")
_CODER = re.compile(r"(?<![a-z])code(?:r|x)?(?![a-z])|coder")
_THINKER = re.compile(r"(?<![a-z])(?:reason(?:er|ing)?|think(?:er|ing)?|math)(?![a-z])")
#: Words for a model that answers, but not in order to talk; those that speak and hear only do that better.
_APART = re.compile(
    r"(?<![a-z])(?:guard|safeguard|ocr|realtime|live|image|robotics|deep-research|computer-use)(?![a-z])"
)
_SPEAKS = re.compile(r"(?<![a-z])audio(?![a-z])")
#: A server nearby that hands such a model's questions on to somebody far away.
_FORWARDED = re.compile(r"[:\-]cloud$")

#: What a model may be asked for, as far as its quality differs by that.
Skill = int
CODING, THINKING, WRITING, ANYTHING = range(4)
SKILLS: dict[Label, Skill] = {
    "code": CODING,
    "refactor": CODING,
    "documentation": CODING,
    "reasoning": THINKING,
    "creative": WRITING,
    "chat": WRITING,
    "unknown": ANYTHING,
}


@dataclass(slots=True, eq=False)  # not frozen: hundreds are made at once, and that takes a third of the time
class Traits:
    """One card, and what follows from it; nobody changes it.

    Prices are in micro-dollars for a token; None: nobody knows.
    """

    card: ModelCard
    name: str
    provider: str
    can: Capabilities
    window: int | None
    talks: bool
    local: bool
    forwarded: bool
    #: Neither its size nor its price is known, so that its quality is no more than a guess.
    guessed: bool
    params_b: float | None
    price_in: float | None
    price_out: float | None
    light: float
    #: Estimated quality from 0 to 1, for each skill.
    quality: tuple[float, float, float, float]
    #: What is expected before anything was learnt: success from 0 to 1, seconds, tokens a second.
    success: float
    first_token: float
    speed: float

    @property
    def paid(self) -> float | None:
        """A usual mix of both prices."""
        if self.price_in is None or self.price_out is None:
            return None
        return (3 * self.price_in + self.price_out) / 4


def forwards(id: str) -> bool:
    """Does the id say that whoever serves it hands the question on to a cloud?"""
    return _FORWARDED.search(id) is not None


def billions(card: ModelCard) -> float | None:
    """How many billions of parameters a model has, by its id or by its size on the disk."""
    id = card.id.lower()
    sizes = [float(number) * int(times or 1) for times, number in _BILLIONS.findall(id)] if "b" in id else []
    sizes = sizes or ([float(number) / 1000 for number in _MILLIONS.findall(id)] if "m" in id else [])
    if sizes:
        return max(sizes)
    if not card.size_bytes:
        return None
    return card.size_bytes / 1e9 / next((each for said, each in _PRECISION if said.search(id)), _FOUR_BITS)


def traits(card: ModelCard) -> Traits:
    """All that is told of a model, ready to be weighed."""
    forwarded = forwards(card.id)
    local = card.endpoint in LOCAL_CLASSES and not forwarded
    size, can, id = billions(card), card.capabilities, card.id.lower()
    free = local and card.price is None
    price_in = 0.0 if free else float(card.price.input) if card.price else None
    price_out = 0.0 if free else float(card.price.output) if card.price else None
    worth = None if free or price_in is None or price_out is None else (3 * price_in + price_out) / 4
    light = _lightness(id, size, worth)
    first_token, speed = _pace(card, size, light, local=local)
    return Traits(
        card=card,
        name=card.name,
        provider=card.provider,
        can=can,
        window=card.context_length,
        talks=talks(card) and not _APART.search(id),
        guessed=size is None and worth is None,
        local=local,
        forwarded=forwarded,
        params_b=size,
        price_in=price_in,
        price_out=price_out,
        light=light,
        quality=_quality(card, id, size, worth, light),
        success=_SUCCESS["cloud" if forwarded else card.endpoint],
        first_token=first_token,
        speed=speed,
    )


#: How often an answer comes, before anything was learnt, by where it comes from.
_SUCCESS = {"process": 0.97, "loopback": 0.96, "lan": 0.94, "tailnet": 0.92, "decentralized": 0.85, "cloud": 0.95}


def between(value: float, low: float, high: float) -> float:
    """Where a value lies between two others on a logarithmic scale: 0 at the low one, 1 at the high one."""
    if value <= low:
        return 0.0
    return min(1.0, math.log(value / low) / math.log(high / low))


def _lightness(id: str, size: float | None, worth: float | None) -> float:
    """1 for a small model, 0 for a large one; by its size, else its price, else the words in its id."""
    said = 0.75 if _LIGHT.search(id) else None
    if size is not None:
        told = 1 - between(size, 3.0, 120.0)
    elif worth is not None:
        told = 1 - between(worth, 0.1, 6.0)
    else:
        return said or 0.4
    return told if said is None else (told + said) / 2


def _quality(
    card: ModelCard, id: str, size: float | None, worth: float | None, light: float
) -> tuple[float, float, float, float]:
    """What a model is worth: by what people pay for it, how large it is, how much it reads and what it can do.

    Each doubling of a price or a size brings less than the one before. Models that anybody may serve are cheap for
    their size, so the better one of both estimates counts more.
    """
    can = card.capabilities
    paid = None if worth is None else 0.1 + 0.78 * (1 - (1 - between(worth, 0.05, 30.0)) ** 1.7)
    sized = None if size is None else 0.06 + 0.78 * (1 - (1 - between(size, 0.4, 700.0)) ** 1.3)
    if paid is None or sized is None:
        core = paid or sized or _guessed(card, light)
    else:
        core = 0.35 * min(paid, sized) + 0.65 * max(paid, sized)
    core -= 0.2 if "audio" in id and _SPEAKS.search(id) else 0.0
    core += 0.05 * between(card.context_length or 16_000, 16_000, 1_000_000)
    thinks = 1.0 if can.reasoning or _THINKER.search(id) else 0.0
    codes = 1.0 if "code" in id and _CODER.search(id) else 0.0
    handy = 1.0 if can.tools else 0.0
    gains = (
        0.05 * thinks + 0.06 * codes + 0.03 * handy,
        0.12 * thinks,
        0.02 * thinks - 0.06 * codes,
        0.04 * thinks + 0.02 * handy,
    )
    if 0.0 < core < 0.8 and gains[2] >= 0:
        return core + gains[0], core + gains[1], core + gains[2], core + gains[3]
    first, second, third, fourth = (max(0.0, min(1.0, core + gain)) for gain in gains)
    return first, second, third, fourth


def _guessed(card: ModelCard, light: float) -> float:
    """Where neither price nor size is known: those of today think, and read much at once."""
    reads = 0.15 * between(card.context_length or 16_000, 16_000, 1_000_000)
    return 0.45 + reads + (0.08 if card.capabilities.reasoning else 0.0) - 0.25 * light


def _pace(card: ModelCard, size: float | None, light: float, *, local: bool) -> tuple[float, float]:
    """Seconds to the first token and tokens a second, as they usually are."""
    if not local:
        return 1.2 - 0.8 * light, 40.0 + 80.0 * light
    giga = card.size_bytes / 1e9 if card.size_bytes else (size or 8.0) * _FOUR_BITS
    works = _ACTIVE.search(card.id.lower())
    if works and size:
        giga *= min(1.0, float(works[1]) / size)
    far = 0.0 if card.provider == LOCAL or card.endpoint in ("process", "loopback") else 0.1
    return 0.15 + 0.06 * giga + far, max(4.0, min(120.0, 80.0 / max(giga, 0.1)))
