"""`osaurus-nb providers …` and `%osaurus providers …`: set up, change and list them, and type their keys."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, BooleanOptionalAction, Namespace
from typing import Any, cast

from osaurus_nb.commands import home
from osaurus_nb.commands.doctor import offered
from osaurus_nb.commands.grammar import NO_KEYS, Actions, refuse_keys, refuse_words
from osaurus_nb.commands.person import Person
from osaurus_nb.commands.told import Told
from osaurus_nb.config.providers import Changes, Fields, Preset, Provider
from osaurus_nb.config.providers.formats import FORMATS
from osaurus_nb.config.providers.presets import find, recognise
from osaurus_nb.errors import ConfigError, OsaurusError
from osaurus_nb.providers import keys, registry

HELP = "set up remote providers, and type their keys"
#: What can be done, in the order in which it is offered.
ACTIONS = ("list", "presets", "add", "key", "test", "edit", "remove", "enable", "disable", "order")


def configure(parser: ArgumentParser) -> None:
    """Teach `parser` the actions. Without one, the providers are listed."""
    parser.set_defaults(act=_list)
    actions = Actions(parser)
    add = actions.add("add", _add, "set one up; its models are then named NAME/id")
    add.add_argument("name", metavar="NAME", help="its name; alone, a preset's name or a pasted URL")
    add.add_argument("--preset", default=None, help="take what NAME does not say from this preset")
    add.add_argument("--disabled", dest="enabled", action="store_false", default=SUPPRESS, help="do not use it yet")
    _fields(add)
    edit = actions.add("edit", _edit, "change what is said, leave the rest")
    edit.add_argument("target", metavar="NAME")
    edit.add_argument("--name", default=SUPPRESS, help="its new name")
    _fields(edit)
    key = actions.add("key", _key, "type its key, or a secret header, and have it kept in the vault")
    configure_key(key)
    for name, act, text in (
        ("test", _test, "ask one for its models, now"),
        ("remove", _remove, "forget one, and its stored secrets"),
        ("enable", _enable, "let one be asked again"),
        ("disable", _disable, "keep one, but ask it nothing"),
    ):
        actions.add(name, act, text).add_argument("name")
    actions.add("order", _order, "put these first").add_argument("names", nargs="+", metavar="NAME")
    actions.add("list", _list, "list them")
    actions.add("presets", _presets, "list the providers that are known by name")


def configure_key(parser: ArgumentParser) -> None:
    """The words behind `key`."""
    parser.set_defaults(act=_key)
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--header", metavar="HEADER", help="the value of this secret header instead")
    parser.add_argument("--number", type=int, default=1, metavar="N", help="2, 3, …: where those before it fail")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--remove", action="store_true", help="forget the stored one")
    way.add_argument("--import-from-app", action="store_true", help="copy what the Osaurus app has in the keychain")
    refuse_keys(parser)
    refuse_words(parser, NO_KEYS)


def _fields(parser: ArgumentParser) -> None:
    def field(flag: str, **options: Any) -> None:
        parser.add_argument(flag, default=SUPPRESS, **options)

    field("--url", help="its address, e.g. http://127.0.0.1:8000/v1; pasted ones may end in an endpoint")
    field("--protocol", choices=("http", "https"))
    field("--host")
    field("--port", type=int)
    field("--base-path", metavar="PATH")
    field("--format", help=f"one of {', '.join(FORMATS)}; by itself what the URL or the preset says")
    field(
        "--key-env", metavar="VARIABLE", help="the environment variable that holds its key; the key is not given here"
    )
    field("--no-key", dest="auth", action="store_const", const="none", help="it is asked without a key")
    field("--key-header", metavar="NAME", help="bearer, x-api-key, api-key, x-goog-api-key or another header")
    field("--header", dest="headers", metavar="NAME=VALUE", type=_pair, action="append", help="an open header")
    field(
        "--secret-header",
        dest="header_env",
        metavar="NAME=VARIABLE",
        type=_pair,
        action="append",
        help="a header whose value is in an environment variable",
    )
    field("--model", dest="models", metavar="ID", action="append", help="an id that it does not list; can be repeated")
    field("--timeout", type=_seconds, metavar="SECONDS", help="of silence, or none")
    field("--auto-connect", action=BooleanOptionalAction, help="connect when osaurus starts")
    refuse_keys(parser)


def _pair(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise ArgumentTypeError("it should look like NAME=VALUE; an empty VALUE takes the header away")
    return name.strip(), value or None


def _seconds(text: str) -> float | None:
    if text == "none":
        return None
    try:
        return float(text)
    except ValueError:
        raise ArgumentTypeError("it should be a number of seconds, or none") from None


def _said(options: Namespace, kind: type[Fields] | type[Changes]) -> dict[str, Any]:
    """The fields that were given on the line."""
    said = {name: value for name, value in vars(options).items() if name in kind.__annotations__}
    return said | {name: dict(said[name]) for name in ("headers", "header_env") if name in said}


def _add(options: Namespace, person: Person) -> Told:
    said = cast(Fields, _said(options, Fields))
    added = registry.add(options.name, preset=options.preset, **said)
    kept = _offered(added, person)
    lines = [f"'{added.name}' is set up at {added.url}. Its models are named {added.slug}/ID.", *kept]
    lines += _advice(added, person)
    preset = find(options.preset or options.name) or recognise(added.host, added.port)
    if preset is not None and preset.note:
        lines.append(preset.note)
    return Told(lines)


def _offered(added: Provider, person: Person) -> list[str]:
    """Somebody at a terminal may type the key at once."""
    if not (added.needs_key and person.offers and keys.origin(added) is None):
        return []
    try:
        home.keeping(person)
        value = person.secret(f"Key of '{added.name}' (Enter: later): ")
        return [_kept(added, value, keys.KEY, person)] if value.strip() else []
    except OsaurusError as error:
        return [f"Its key was not asked for or not kept. {error}"]


def _edit(options: Namespace, person: Person) -> Told:
    said = cast(Changes, _said(options, Changes))
    changed = registry.edit(options.target, **said)
    return Told([f"'{changed.name}' ({changed.slug}) is now at {changed.url}.", *_advice(changed, person)])


def _key(options: Namespace, person: Person) -> Told:
    provider, which = registry.find(options.name), keys.Which(options.header, options.number)
    if options.remove:
        home.opened(person)
        ended = "removed" if keys.forget(provider, which) else "not stored: nothing was removed"
        return Told([f"The {which} of '{provider.name}' is {ended}."])
    if options.import_from_app:
        return _import(provider, person)
    keys.refuse_given(provider, which)
    home.keeping(person)
    return Told([_kept(provider, person.secret(f"The {which} of '{provider.name}': "), which, person)])


def _test(options: Namespace, person: Person) -> Told:
    from osaurus_nb.client import Client  # noqa: PLC0415 - heavy, and behind every command's --help

    home.ask_passphrase(person)
    with Client() as client:
        tested = client.test(registry.find(options.name).slug)
    if not tested.ok:
        raise ConfigError(str(tested.diagnosis or f"'{tested.provider}' is {tested.state}."))
    return Told([f"'{tested.provider}' lists {_models(len(tested.models))}. It took {tested.seconds:.1f} s."])


def _models(number: int) -> str:
    return "1 model" if number == 1 else f"{number} models"


def _import(provider: Provider, person: Person) -> Told:
    home.keeping(person)
    found = keys.import_from_app(provider, lasting=person.leaves)
    if not found:
        raise ConfigError(f"The app has nothing in the keychain for '{provider.name}' that is not here already.")
    return Told([f"Imported for '{provider.name}': {', '.join(found)}."])


def _kept(provider: Provider, value: str, which: keys.Which, person: Person) -> str:
    """Keep it, and say where it is now."""
    status = keys.keep(provider, value, which, lasting=person.leaves)
    risk = f" {status.badge}." if status.badge else ""
    return f"The {which} of '{provider.name}' is kept. {home.explained(status)}{risk}"


def _remove(options: Namespace, person: Person) -> Told:
    provider = registry.find(options.name)
    stored = home.vault().names(provider.id)
    if stored:
        home.opened(person)
    registry.remove(provider.id)
    return Told([f"'{provider.name}' is removed{', and with it what was stored for it' if stored else ''}."])


def _enable(options: Namespace, person: Person) -> Told:
    return Told([f"'{registry.enable(options.name).name}' is enabled."])


def _disable(options: Namespace, person: Person) -> Told:
    return Told([f"'{registry.disable(options.name).name}' is disabled."])


def _order(options: Namespace, person: Person) -> Told:
    return Told([", ".join(provider.slug for provider in registry.reorder(*options.names))])


def _list(options: Namespace, person: Person) -> Told:
    rows = [(p.slug, p.format, p.url, _key_of(p), _state(p)) for p in registry.list()]
    presets = person.spelled("providers presets")
    lines = () if rows else (f"No provider is set up. {presets} lists those that are known by name.",)
    notes = [*registry.problems(), *(offered(offer, person) for offer in registry.offers())]
    return Told(lines, ("name", "format", "address", "key", "state"), rows, notes)


def _presets(options: Namespace, person: Person) -> Told:
    rows = [
        (p.name, p.title, _address(p), p.format, " or ".join(p.key_variables), p.key_url) for p in registry.presets()
    ]
    return Told((), ("preset", "title", "address", "format", "key variable", "where to get a key"), rows)


def _advice(provider: Provider, person: Person) -> list[str]:
    """What is still to be done before it answers."""
    lines = []
    if provider.unsupported is not None:
        lines.append(f"It cannot be asked: {provider.unsupported}.")
    if provider.needs_key:
        lines.append(_key_advice(provider, person))
    if provider.exposed:
        lines.append("Its address is http: the key and all you ask travel unencrypted.")
    return lines


def _key_advice(provider: Provider, person: Person) -> str:
    found = keys.origin(provider)
    if found is not None:
        return f"Its key comes from the {found}."
    preset = recognise(provider.host, provider.port)
    where = f" A key is had at {preset.key_url}." if preset is not None and preset.key_url else ""
    variable = f"${provider.key_variable}, which is not set here" if provider.key_variable is not None else ""
    other = f"is read from {variable}, or typed" if variable else "is typed"
    return f"It needs a key, which {other} once: {person.spelled(f'providers key {provider.slug}')}.{where}"


def _key_of(provider: Provider) -> str:
    if not provider.needs_key:
        return "none"
    found = keys.origin(provider)
    if found is None:
        return f"not set (${provider.key_variable})" if provider.key_variable is not None else "not set"
    more = keys.further(provider)
    return found.removeprefix("environment variable ") + (f" and {more} more" if more else "")


def _state(provider: Provider) -> str:
    if provider.unsupported is not None:
        return f"unsupported: {provider.unsupported}"
    return "enabled" if provider.enabled else "disabled"


def _address(preset: Preset) -> str:
    if not preset.host:
        return preset.address
    return f"{preset.protocol}://{preset.host}{f':{preset.port}' if preset.port else ''}{preset.base_path}"
