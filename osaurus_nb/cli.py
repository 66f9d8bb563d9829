"""`osaurus-nb`: models, providers, keys, the identity and a quick question from the command line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import osaurus_nb
from osaurus_nb.errors import OsaurusError
from osaurus_nb.routes import MODES


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Returns the exit code: 0, 1 for a fault that was told, 130 for an interrupt."""
    options = _parser().parse_args(argv)
    try:
        run: int = options.run(options) or 0
    except OsaurusError as error:
        print(f"osaurus-nb: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return run


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("osaurus-nb", description="One client for every model, local or remote.")
    parser.add_argument("--version", action="version", version=f"osaurus-nb {osaurus_nb.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _pull_command(commands)
    _chat_command(commands)
    _route_command(commands)
    _shared_commands(commands)
    models = commands.add_parser("models", help="list every model that can be named")
    models.set_defaults(run=_models)
    status = commands.add_parser("status", help="how everything stands: providers, models in memory, ledger, budgets")
    status.set_defaults(run=_status)
    demo = commands.add_parser("demo", help="ask the embedded model, here and over HTTP")
    demo.set_defaults(run=_demo)
    return parser


_Commands = argparse._SubParsersAction  # what add_subparsers returns has no public name


def _pull_command(commands: _Commands[argparse.ArgumentParser]) -> None:
    pull = commands.add_parser("pull", help="fetch the embedded model, one for embeddings, or convert a GGUF file")
    pull.add_argument("model", nargs="?", default=None, help="smollm2-135m-instruct or all-minilm-l6-v2")
    pull.add_argument("--file", help="a GGUF file to convert instead; MODEL is then its new name")
    pull.set_defaults(run=_pull)


def _chat_command(commands: _Commands[argparse.ArgumentParser]) -> None:
    chat = commands.add_parser("chat", help="ask one question and stream the answer")
    chat.add_argument("prompt")
    chat.add_argument("-m", "--model", help="a name that `osaurus-nb models` lists")
    chat.add_argument("-s", "--system", help="a system prompt")
    chat.add_argument("-t", "--temperature", type=float)
    chat.add_argument("--max-tokens", type=int)
    _routing_options(chat)
    chat.set_defaults(run=_chat)


def _route_command(commands: _Commands[argparse.ArgumentParser]) -> None:
    route = commands.add_parser("route", help="say who would answer a question, and why, without asking anybody")
    actions = route.add_subparsers(required=True, metavar="ACTION")
    explain = actions.add_parser("explain", help="models in the order in which they would be asked, and those refused")
    explain.add_argument("prompt")
    explain.add_argument("-m", "--model", help="a model or a profile, for example osaurus/auto")
    _routing_options(explain)
    explain.set_defaults(run=_explain)
    _replay_command(actions)


def _replay_command(actions: _Commands[argparse.ArgumentParser]) -> None:
    from osaurus_nb.commands import replaying  # noqa: PLC0415 - --version stays quick

    replay = actions.add_parser("replay", help=replaying.HELP, allow_abbrev=False)
    replaying.configure(replay)
    replay.set_defaults(run=_perform)


def _routing_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", help="a profile, which chooses the model; `osaurus-nb profiles` lists them")
    parser.add_argument("--mode", choices=MODES, help="how candidates are weighed")
    parser.add_argument("--private", action="store_true", help="ask only this machine and its networks")


def _shared_commands(commands: _Commands[argparse.ArgumentParser]) -> None:
    from osaurus_nb.commands.table import COMMANDS  # noqa: PLC0415 - --version stays quick

    for name, command in COMMANDS.items():
        parser = commands.add_parser(name, help=command.help, allow_abbrev=False)
        command.configure(parser)
        parser.set_defaults(run=_perform)


def _pull(options: argparse.Namespace) -> None:
    from osaurus_nb.config.settings import EMBEDDED_MODEL  # noqa: PLC0415 - --help stays quick
    from osaurus_nb.front import pull  # noqa: PLC0415

    model = pull(options.model or EMBEDDED_MODEL, file=options.file)
    print(f"{model.id} is ready ({model.size_bytes / 1e6:.0f} MB).")


def _chat(options: argparse.Namespace) -> None:
    from osaurus_nb.client import Client  # noqa: PLC0415

    _ask_passphrase()
    stream = Client().stream(
        options.prompt,
        model=options.model,
        system=options.system,
        temperature=options.temperature,
        max_tokens=options.max_tokens,
        profile=options.profile,
        mode=options.mode,
        private=options.private,
    )
    for piece in stream:
        print(piece, end="", flush=True)
    print(f"\n[{stream.reply.footer}]", file=sys.stderr)
    for failure in stream.reply.failures:
        print(f"[{failure}]", file=sys.stderr)
    for warning in stream.reply.warnings:
        print(f"[{warning.message}]", file=sys.stderr)


def _explain(options: argparse.Namespace) -> None:
    from osaurus_nb.client import Client  # noqa: PLC0415

    _ask_passphrase()
    with Client() as client:
        said = {"profile": options.profile, "mode": options.mode, "private": options.private}
        print(client.explain(options.prompt, model=options.model, **said))


def _models(options: argparse.Namespace) -> None:
    from osaurus_nb.client import Client  # noqa: PLC0415

    _ask_passphrase()
    client = Client()
    for card in client.models():
        context = f"{card.context_length:,} tokens" if card.context_length else ""
        print(f"{card.name:<48} {card.endpoint:<10} {context}")
    for source in client.status():
        if source.error:
            print(f"{source.provider}: {source.error}", file=sys.stderr)


def _status(options: argparse.Namespace) -> int:
    from osaurus_nb.front import status  # noqa: PLC0415

    _ask_passphrase()
    overview = status()
    print(overview)
    return 0 if overview.well else 1


def _ask_passphrase() -> None:
    from osaurus_nb.commands.home import ask_passphrase  # noqa: PLC0415
    from osaurus_nb.commands.person import Terminal  # noqa: PLC0415

    ask_passphrase(Terminal())


def _perform(options: argparse.Namespace) -> int:
    from osaurus_nb.commands.grammar import perform  # noqa: PLC0415
    from osaurus_nb.commands.person import Terminal  # noqa: PLC0415

    told = perform(options, Terminal())
    for line in told.lines:
        print(line)
    if told.rows:
        _print_table([told.head, *told.rows])
    for note in told.notes:
        print(note, file=sys.stderr)
    return int(told.faulty)


def _print_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _demo(options: argparse.Namespace) -> None:
    from osaurus_nb.demo import main as demo  # noqa: PLC0415

    demo()


if __name__ == "__main__":
    sys.exit(main())
