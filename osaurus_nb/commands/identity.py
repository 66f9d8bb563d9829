"""`osaurus-nb identity …` and `%osaurus identity …`: make, restore and wipe it, and see its words where nothing keeps
them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from osaurus_nb.commands import access_keys, home
from osaurus_nb.commands.grammar import Actions, refuse_words
from osaurus_nb.commands.person import Person
from osaurus_nb.commands.told import Told
from osaurus_nb.errors import ConfigError
from osaurus_nb.identity.identity import Identity, IdentityExists
from osaurus_nb.identity.phrase import WORDS, PhraseRejected

HELP = "make, restore or wipe the identity that pays the Router and issues access keys"
ACTIONS = ("show", "create", "restore", "words", "wipe", "keys")
#: How often a phrase with a slip in it may be typed again.
_TRIES = 3
_NO_WORDS = (
    "the words are never taken from a command line, which histories and lists of processes keep. They are asked for "
    "without echo. If you wrote real ones, move to a new identity"
)
_SHOWN = "Whoever reads the words is you, and has your credit."


def configure(parser: ArgumentParser) -> None:
    """Teach `parser` the actions. Without one, the identity is shown."""
    parser.set_defaults(act=_show)
    actions = Actions(parser)
    actions.add("show", _show, "its address, its agents, how many keys it has issued")
    create = actions.add("create", _create, "make a new one")
    create.add_argument("--replace", action="store_true", help="in the place of the one that there is")
    restore = actions.add("restore", _restore, f"type the {WORDS} words of one that you have")
    restore.add_argument("--replace", action="store_true", help="in the place of another one")
    refuse_words(restore, _NO_WORDS)
    actions.add("words", _words, f"show the {WORDS} words that restore it; in a terminal alone")
    actions.add("wipe", _wipe, "forget it; what it issued opens nothing any more")
    access_keys.configure(actions.add("keys", access_keys.listed, "the access keys that it has issued"))


def _show(options: Namespace, person: Person) -> Told:
    keys = home.book()
    address = keys.address
    if address is None:  # the book may have been lost; the vault knows
        found = Identity.open(home.opened(person).slots, keys)
        if found is None:
            return Told([home.no_identity(person)])
        address = found.address
    good = sum(issued.state == "valid" for issued in keys.list())
    lines = [f"You are {address}.", f"Access keys in force: {good}. {person.spelled('identity keys')} lists them."]
    rows = [(str(agent.index), agent.address, agent.label) for agent in keys.agents]
    return Told(lines, ("agent", "address", "label") if rows else (), rows)


def _create(options: Namespace, person: Person) -> Told:
    slots = home.keeping(person).slots
    if options.replace:
        _agree_to_replace(person)
    try:
        made = Identity.create(slots, home.book(), replace=options.replace)
    except IdentityExists as error:
        raise ConfigError(
            f"There is an identity already, {error.present}. To put another in its place, whose address no one knows "
            f"and which has none of its credit: {person.spelled('identity create --replace')}."
        ) from None
    if person.offers and person.agrees(f"{_SHOWN} To see them now, on a screen that is wiped?", "show"):
        person.show_briefly(_page(made))
    return Told(
        [f"You are {made.address}."],
        notes=[f"Its {WORDS} words are all that brings it back: `osaurus-nb identity words`, in a terminal."],
    )


def _restore(options: Namespace, person: Person) -> Told:
    slots = home.keeping(person).slots
    if options.replace:
        _agree_to_replace(person)
    for left in reversed(range(_TRIES)):
        try:
            typed = person.secret(f"Recovery phrase, {WORDS} words on one line: ")
            restored = Identity.restore(typed, slots, home.book(), replace=options.replace)
        except PhraseRejected as error:
            if not (left and person.offers):
                raise
            person.remark(_hint(error))
        except IdentityExists as error:
            raise ConfigError(
                f"These words are of another identity than the one here, {error.present}. To put it in the place of "
                f"that one, whose words you should have: {person.spelled('identity restore --replace')}."
            ) from None
        else:
            break
    return Told([f"You are {restored.address} again."])


def _hint(error: PhraseRejected) -> str:
    """What may have been meant. It is said to who typed it, on a screen that nobody keeps."""
    near = [f"Word {place} may be {' or '.join(words)}." for place, words in error.near.items() if words]
    return "\n".join([str(error), *near, "Type it again."])


def _words(options: Namespace, person: Person) -> Told:
    person.alone("the words are", "identity words")
    found = home.identity(person)
    if not person.agrees(f"{_SHOWN} See that nobody looks on.", "show"):
        raise ConfigError("They were not shown.")
    person.show_briefly(_page(found))
    return Told(["They were shown, and are on this screen no more."])


def _page(identity: Identity) -> str:
    """The words as one writes them down: numbered, four to a line."""
    numbered = [f"{number:2} {word:<9}" for number, word in enumerate(identity.phrase().split(), 1)]
    lines = ["  ".join(numbered[start : start + 4]).rstrip() for start in range(0, WORDS, 4)]
    return "\n".join([f"The words of {identity.address}:", "", *lines])


def _wipe(options: Namespace, person: Person) -> Told:
    found = home.identity(person)
    said = f"Without its {WORDS} words {found.address} and its credit are lost, and its access keys open nothing."
    if not person.agrees(said, "wipe"):
        raise ConfigError("Nothing was wiped.")
    found.wipe()
    return Told([f"{found.address} is wiped here."])


def _agree_to_replace(person: Person) -> None:
    present = home.book().address
    said = f"Without its {WORDS} words {present} and its credit are lost."
    if present is not None and not person.agrees(said, "replace"):
        raise ConfigError("Nothing was changed.")
