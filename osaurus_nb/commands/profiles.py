"""`osaurus-nb profiles …` and `%osaurus profiles …`: ways to choose a model, and whether they can do what they say."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence

from osaurus_nb import money
from osaurus_nb.commands import home
from osaurus_nb.commands.grammar import Actions
from osaurus_nb.commands.person import Person
from osaurus_nb.commands.told import Told
from osaurus_nb.config.paths import Paths
from osaurus_nb.config.profiles import ProfileFile
from osaurus_nb.routes import Profile
from osaurus_nb.routing.profiles import Profiles

HELP = "ways to choose a model: list, show, or check them beside the models at hand"
ACTIONS = ("list", "show", "lint")
_HEAD = ("profile", "mode", "thinking", "demands", "what it is for")
#: Requirements that are simply there or not, in words.
_ABILITIES = {
    "reasoning": "reasoning",
    "tools": "tools",
    "json": "JSON schemas",
    "vision": "pictures",
    "audio": "sound",
    "documents": "documents",
    "long_context": "a long context",
}


def configure(parser: ArgumentParser) -> None:
    """Teach `parser` the actions. Without one, the profiles are listed."""
    parser.set_defaults(act=_list)
    actions = Actions(parser)
    actions.add("list", _list, "list them")
    actions.add("show", _show, "all that one says").add_argument("name", metavar="NAME")
    lint = actions.add("lint", _lint, "check them beside the models at hand; exit status 1 on a fault")
    lint.add_argument("names", nargs="*", metavar="NAME", help="only these")


def own() -> Profiles:
    """All profiles of this home."""
    return Profiles(ProfileFile(Paths.from_env()))


def _list(options: Namespace, person: Person) -> Told:
    profiles = own()
    rows = [
        (f"{each.name} (yours)" if profiles.is_own(each.name) else each.name, each.mode, each.effort or "",
         ", ".join(demands(each)), each.description)
        for each in profiles.all()
    ]  # fmt: skip
    path = ProfileFile(Paths.from_env()).path
    notes = [*profiles.problems, f"A profile is asked for as osaurus/NAME. Your own are in {path}."]
    return Told((), _HEAD, rows, notes)


def _show(options: Namespace, person: Person) -> Told:
    profiles = own()
    profile = profiles.named(options.name)
    rows = [(name, value) for name, value in _fields(profile) if value]
    whose = "yours" if profiles.is_own(profile.name) else "shipped"
    return Told([f"{profile.name} ({whose}): {profile.description}".rstrip(": ")], ("field", "value"), rows)


def _lint(options: Namespace, person: Person) -> Told:
    from osaurus_nb.routing.lint import lint  # noqa: PLC0415 - brings the planner, behind every command's --help

    profiles = own()
    only = [profiles.named(name).name for name in options.names]
    home.ask_passphrase(person)
    with person.models() as cards:
        found = lint(profiles, cards, only=only)
    rows = [(each.profile or "all", each.kind, each.told) for each in found.findings]
    faults = sum(each.kind == "fault" for each in found.findings)
    counted = ", ".join(f"{name} {number}" for name, number in found.matches.items())
    verdict = "1 fault." if faults == 1 else f"{faults or 'No'} faults."
    lines = [f"Models that each may choose from: {counted}." if counted else "There is no profile to look at.", verdict]
    return Told(lines, ("profile", "kind", "what was found") if rows else (), rows, faulty=found.faulty)


def demands(profile: Profile) -> Iterator[str]:
    """What a model must be able to do or be under a profile, in words."""
    asked = profile.requirements
    yield from (words for name, words in _ABILITIES.items() if getattr(asked, name))
    if profile.quality:
        yield f"quality {profile.quality:g}"
    if asked.min_context is not None:
        yield f"{asked.min_context:,} tokens"
    if asked.min_params_b is not None:
        yield f"{asked.min_params_b:g} billion parameters"
    if asked.max_price is not None:
        yield f"at most ${asked.max_price:g} for a million tokens"
    for name, words in (("allow", "only"), ("deny", "not")):
        listed = (*getattr(asked, f"{name}_providers"), *getattr(asked, f"{name}_models"))
        if listed:
            yield f"{words} {' '.join(listed)}"


def _fields(profile: Profile) -> Sequence[tuple[str, str]]:
    fusion = profile.fusion
    panel = f"{fusion.panel} models, {fusion.at_least} at least, {fusion.patience:g} s each" if fusion else ""
    return [
        ("asked for as", f"osaurus/{profile.name}"),
        ("mode", profile.mode),
        ("thinking", profile.effort or ""),
        ("demands", ", ".join(demands(profile))),
        ("fallbacks", ", ".join(profile.fallbacks)),
        ("deadline", f"{profile.deadline:g} s" if profile.deadline is not None else ""),
        ("costs at most", money.full(profile.max_cost_micro) if profile.max_cost_micro is not None else ""),
        ("models in turn", str(profile.chain)),
        ("sticky", "a conversation stays with its model" if profile.sticky else ""),
        ("panel", f"{panel}, judged by {fusion.judge}" if fusion and fusion.judge else panel),
    ]
