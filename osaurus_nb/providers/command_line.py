"""`osaurus-nb providers …` and `%osaurus providers …`: one grammar, one set of sentences. Takes no key."""

from __future__ import annotations

import os
from argparse import (
    SUPPRESS,
    Action,
    ArgumentParser,
    ArgumentTypeError,
    BooleanOptionalAction,
    Namespace,
    _SubParsersAction,  # what add_subparsers returns has no public name
)
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from osaurus_nb.config.providers import Changes, Fields, Preset, Provider
from osaurus_nb.config.providers.formats import FORMATS
from osaurus_nb.config.providers.presets import find, recognise
from osaurus_nb.providers import registry

#: What can be done, in the order in which it is offered.
ACTIONS = ("list", "presets", "add", "edit", "remove", "enable", "disable", "order")
NO_KEYS = (
    "a key is never taken from a command line, which histories and lists of processes keep. Put it into an "
    "environment variable and name that: --key-env VARIABLE. If you wrote a real key, replace it at its provider"
)


@dataclass(frozen=True, slots=True)
class Told:
    """What a command has to say: sentences, a table, and what is wrong with the file."""

    lines: Sequence[str] = ()
    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    problems: Sequence[str] = ()


def configure(parser: ArgumentParser) -> None:
    """Teach `parser` the actions. Without one, the providers are listed."""
    parser.set_defaults(act=_list)
    actions = parser.add_subparsers(metavar="ACTION")
    _add_action(actions, help=parser.add_help)
    _edit_action(actions, help=parser.add_help)
    for name, act, text in (
        ("remove", _remove, "forget one"),
        ("enable", _enable, "let one be asked again"),
        ("disable", _disable, "keep one, but ask it nothing"),
    ):
        action = actions.add_parser(name, help=text, add_help=parser.add_help, allow_abbrev=False)
        action.add_argument("name")
        action.set_defaults(act=act)
    order = actions.add_parser("order", help="put these first", add_help=parser.add_help, allow_abbrev=False)
    order.add_argument("names", nargs="+", metavar="NAME")
    order.set_defaults(act=_order)
    for name, act, text in (
        ("list", _list, "list them"),
        ("presets", _presets, "list the providers that are known by name"),
    ):
        actions.add_parser(name, help=text, add_help=parser.add_help, allow_abbrev=False).set_defaults(act=act)


def perform(options: Namespace) -> Told:
    """Do what was said. Raises ConfigError."""
    told: Told = options.act(options)
    return told


def _add_action(actions: _SubParsersAction[ArgumentParser], *, help: bool) -> None:
    add = actions.add_parser(
        "add", help="set one up; its models are then named NAME/id", add_help=help, allow_abbrev=False
    )
    add.add_argument("name", metavar="NAME", help="its name; alone, a preset's name or a pasted URL")
    add.add_argument("--preset", default=None, help="take what NAME does not say from this preset")
    add.add_argument("--disabled", dest="enabled", action="store_false", default=SUPPRESS, help="do not use it yet")
    _fields(add)
    add.set_defaults(act=_add)


def _edit_action(actions: _SubParsersAction[ArgumentParser], *, help: bool) -> None:
    edit = actions.add_parser("edit", help="change what is said, leave the rest", add_help=help, allow_abbrev=False)
    edit.add_argument("target", metavar="NAME")
    edit.add_argument("--name", default=SUPPRESS, help="its new name")
    _fields(edit)
    edit.set_defaults(act=_edit)


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
    parser.add_argument(
        "--key", "--api-key", "--token", "--secret", nargs="?", default=SUPPRESS, action=_Refused, help=SUPPRESS
    )


class _Refused(Action):
    """An option that exists to say why it does not."""

    def __call__(self, parser: ArgumentParser, *_: object, **__: object) -> None:
        parser.error(NO_KEYS)


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


def _add(options: Namespace) -> Told:
    said = cast(Fields, _said(options, Fields))
    added = registry.add(options.name, preset=options.preset, **said)
    lines = [f"'{added.name}' is set up at {added.url}. Its models are named {added.slug}/ID.", *_advice(added)]
    preset = find(options.preset or options.name) or recognise(added.host, added.port)
    if preset is not None and preset.note:
        lines.append(preset.note)
    return Told(lines)


def _edit(options: Namespace) -> Told:
    said = cast(Changes, _said(options, Changes))
    changed = registry.edit(options.target, **said)
    return Told([f"'{changed.name}' ({changed.slug}) is now at {changed.url}.", *_advice(changed)])


def _remove(options: Namespace) -> Told:
    return Told([f"'{registry.remove(options.name).name}' is removed."])


def _enable(options: Namespace) -> Told:
    return Told([f"'{registry.enable(options.name).name}' is enabled."])


def _disable(options: Namespace) -> Told:
    return Told([f"'{registry.disable(options.name).name}' is disabled."])


def _order(options: Namespace) -> Told:
    return Told([", ".join(provider.slug for provider in registry.reorder(*options.names))])


def _list(options: Namespace) -> Told:
    rows = [(p.slug, p.format, p.url, _key(p), _state(p)) for p in registry.list()]
    lines = () if rows else ("No provider is set up. `providers presets` lists those that are known by name.",)
    return Told(lines, ("name", "format", "address", "key", "state"), rows, registry.problems())


def _presets(options: Namespace) -> Told:
    rows = [
        (p.name, p.title, _address(p), p.format, " or ".join(p.key_variables), p.key_url) for p in registry.presets()
    ]
    return Told((), ("preset", "title", "address", "format", "key variable", "where to get a key"), rows)


def _advice(provider: Provider) -> list[str]:
    """What is still to be done before it answers."""
    lines = []
    if provider.unsupported is not None:
        lines.append(f"It cannot be asked: {provider.unsupported}.")
    if provider.needs_key:
        lines.append(_key_advice(provider, os.environ))
    if provider.exposed:
        lines.append("Its address is http: the key and all you ask travel unencrypted.")
    return lines


def _key_advice(provider: Provider, env: Mapping[str, str]) -> str:
    preset = recognise(provider.host, provider.port)
    where = f" A key is had at {preset.key_url}." if preset is not None and preset.key_url else ""
    if provider.key_variable is None:
        return (
            "It needs a key. Put it into an environment variable and name that: "
            f"`osaurus-nb providers edit {provider.slug} --key-env VARIABLE`.{where}"
        )
    if any(env.get(variable) for variable in provider.key_variables):
        return f"Its key is read from ${provider.key_variable}."
    return f"Its key is read from ${provider.key_variable}, which is not set here.{where}"


def _key(provider: Provider) -> str:
    if not provider.needs_key:
        return "none"
    return f"${provider.key_variable}" if provider.key_variable is not None else "not set"


def _state(provider: Provider) -> str:
    if provider.unsupported is not None:
        return f"unsupported: {provider.unsupported}"
    return "enabled" if provider.enabled else "disabled"


def _address(preset: Preset) -> str:
    if not preset.host:
        return preset.address
    return f"{preset.protocol}://{preset.host}{f':{preset.port}' if preset.port else ''}{preset.base_path}"
