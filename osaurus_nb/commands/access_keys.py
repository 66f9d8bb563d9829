"""`identity keys …`: list, issue and revoke the access keys of the identity. A new key is shown once, in a terminal."""

from __future__ import annotations

import time
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence

from osaurus_nb.commands import home
from osaurus_nb.commands.grammar import Actions
from osaurus_nb.commands.person import Person
from osaurus_nb.commands.told import Told
from osaurus_nb.errors import ConfigError
from osaurus_nb.identity.access import DAYS, AccessKey
from osaurus_nb.identity.book import IssuedKey
from osaurus_nb.identity.identity import Identity

ACTIONS = ("list", "issue", "revoke")
#: As much of a key's id as is listed, and enough to name it by.
_ID = 12


def configure(parser: ArgumentParser) -> None:
    """Teach `parser` the actions. Without one, the keys are listed."""
    actions = Actions(parser)
    actions.add("list", listed, "those that were issued here")
    issue = actions.add("issue", _issue, "make one; it is shown once, in a terminal alone")
    issue.add_argument("label", metavar="LABEL", help="what it is for")
    issue.add_argument("--expires", choices=tuple(DAYS), default="90d")
    issue.add_argument("--agent", type=int, metavar="N", help="for this agent alone")
    revoke = actions.add("revoke", _revoke, "refuse one from the next request on, or all up to a number")
    which = revoke.add_mutually_exclusive_group(required=True)
    which.add_argument("id", nargs="?", metavar="ID", help="its id, or the beginning of it")
    which.add_argument("--up-to", type=int, metavar="N", help="all with this number or a smaller one")


def listed(options: Namespace, person: Person) -> Told:
    """Every key that was issued here, as it stands now."""
    keys = home.book()
    agents = {agent.address.lower(): f"agent {agent.index}" for agent in keys.agents}
    rows = [_row(issued, agents) for issued in keys.list()]
    if not rows:
        return Told(
            ["No access key was issued here. `osaurus-nb identity keys issue LABEL`, in a terminal, makes one."]
        )
    return Told((), ("no.", "id", "label", "opens", "state", "issued", "expires"), rows)


def _row(issued: IssuedKey, agents: Mapping[str, str]) -> Sequence[str]:
    key = issued.key
    opens = agents.get(key.audience.lower(), "all")
    return (str(key.counter), key.nonce[:_ID], key.label or "", opens, issued.state, *_times(key))


def _issue(options: Namespace, person: Person) -> Told:
    person.alone("a new key is", f"identity keys issue {options.label}")
    identity = home.identity(person)
    if options.agent is not None:
        _know(identity, options.agent)
    token, key = identity.issue(label=options.label, agent=options.agent, expires=options.expires)
    person.show(token)
    opens = (
        "this endpoint, and may spend your Router credit," if options.agent is None else f"agent {options.agent} alone"
    )
    until = "until it is revoked" if key.expires_at is None else f"until {_times(key)[1]}"
    revoke = person.spelled(f"identity keys revoke {key.nonce[:_ID]}")
    return Told(notes=[f"It is shown this once. It opens {opens} {until}; {revoke} ends that."])


def _know(identity: Identity, index: int) -> None:
    if index not in {agent.index for agent in identity.keys.agents}:
        identity.add_agent(index=index)


def _revoke(options: Namespace, person: Person) -> Told:
    keys = home.book()
    if options.up_to is not None:
        keys.revoke_up_to(options.up_to)
        return Told([f"All keys up to no. {options.up_to} are revoked."])
    id = _meant(options.id)
    if not keys.revoke(id):
        raise ConfigError(f"No key of this id was issued here. {person.spelled('identity keys')} lists them.")
    return Told(["It is revoked, from the next request on, in every process."])


def _meant(id: str) -> str:
    """The whole nonce that begins so. Whatever is not one is left as it is: the whole id of a foreign key."""
    found = [issued.key.nonce for issued in home.book().list() if issued.key.nonce.startswith(id)]
    if len(found) > 1:
        raise ConfigError(f"{len(found)} keys begin so. Write more of the id.")
    return found[0] if found else id


def _times(key: AccessKey) -> tuple[str, str]:
    return _day(key.issued_at), "never" if key.expires_at is None else _day(key.expires_at)


def _day(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
