"""From the name a caller wrote to exactly one model, or an error that helps. Never a substitute.

The rule, in order: an id on this machine; `provider/id` for a provider that is set up, listed or not, for many
providers answer to ids that they do not list; a bare id that exactly one provider lists.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence

from osaurus_nb.errors import ModelAmbiguous, ModelNotFound
from osaurus_nb.models import LOCAL, ModelCard


def resolve(name: str, listed: Mapping[str, Sequence[ModelCard]]) -> ModelCard:
    """The one model of this name. `listed` maps each provider's slug to its cards.

    Raises ModelNotFound with near matches, or ModelAmbiguous with the exact names.
    """
    found = local(name, listed.get(LOCAL, ())) or prefixed(name, listed)
    if found is not None:
        return found
    bare = [card for slug, cards in listed.items() if slug != LOCAL for card in cards if card.id == name]
    if len(bare) == 1:
        return bare[0]
    if bare:
        choices = [card.name for card in bare]
        raise ModelAmbiguous(f"'{name}' is offered by several providers; say which: {_list(choices)}.", choices=choices)
    raise not_found(name, [card.name for cards in listed.values() for card in cards])


def find(name: str, cards: Iterable[ModelCard]) -> ModelCard:
    """The same, from one list of all cards."""
    listed: dict[str, list[ModelCard]] = {}
    for card in cards:
        listed.setdefault(card.provider, []).append(card)
    return resolve(name, listed)


def local(name: str, cards: Iterable[ModelCard]) -> ModelCard | None:
    """The model on this machine, by its id or as `local/id`."""
    bare = name.removeprefix(f"{LOCAL}/")
    return next((card for card in cards if card.id in (name, bare)), None)


def prefixed(name: str, listed: Mapping[str, Sequence[ModelCard]]) -> ModelCard | None:
    """`slug/id`, the slug in any case. An id that the provider does not list gets a bare card."""
    slug, slash, id = name.partition("/")
    slug = slug.lower()
    if not slash or not id or slug == LOCAL or slug not in listed:
        return None
    return next((card for card in listed[slug] if card.id == id), None) or ModelCard(id, slug)


def not_found(name: str, known: Collection[str]) -> ModelNotFound:
    near = _near(name.lower(), known)
    if near:
        return ModelNotFound(f"There is no model '{name}'. Did you mean {_list(near, last=' or ')}?", near=near)
    if known:
        return ModelNotFound(f"There is no model '{name}'. `osaurus-nb models` lists the {len(known)} that there are.")
    return ModelNotFound(
        f"There is no model '{name}', and no model at all yet. Get the embedded one with `osaurus-nb pull`, "
        "or add a provider with `osaurus-nb providers add`."
    )


def _near(name: str, known: Collection[str]) -> Sequence[str]:
    """Up to three names that were probably meant: spelt alike, with or without the provider, or containing it."""
    spelt = {form.lower(): full for full in known for form in (full, full.rpartition("/")[2])}
    alike = [spelt[form] for form in difflib.get_close_matches(name, spelt, n=3, cutoff=0.5)]
    within = [full for full in sorted(known, key=len) if name in full.lower()]
    return list(dict.fromkeys([*alike, *within]))[:3]


def _list(names: Sequence[str], *, last: str = ", ") -> str:
    quoted = [f"'{name}'" for name in names]
    return last.join([", ".join(quoted[:-1]), quoted[-1]]) if len(quoted) > 1 else quoted[0]
