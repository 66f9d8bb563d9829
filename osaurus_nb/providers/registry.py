"""`osaurus.providers`: set up, change, list and remove remote providers. Keys are asked for, and never given back."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Unpack

from osaurus_nb.config.paths import Paths
from osaurus_nb.config.providers import PRESETS, Changes, Fields, Preset, Provider, ProviderFile, addresses
from osaurus_nb.config.providers import presets as known
from osaurus_nb.config.providers.slugs import slug
from osaurus_nb.config.settings import Settings
from osaurus_nb.providers import keys
from osaurus_nb.secrets import SecretsStatus, asking

if TYPE_CHECKING:
    from osaurus_nb.providers.on_this_machine import Offer

#: Told of a provider whose key or secrets are to be asked for and kept, or forgotten, by whoever has a place for them.
Keeper = Callable[[Provider], None]
_URL = re.compile(r"://|^[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}(?::\d+)?(?:/|$)|^[\w.\-\[\]:]+:\d+(?:/|$)")


def add(name: str, /, *, preset: str | None = None, keep_key: Keeper | None = None, **said: Unpack[Fields]) -> Provider:
    """Set up a provider; its models are then named `name/id`.

    `add("openai")` takes a preset, `add("https://api.x.ai/v1")` a pasted URL, `add("lab", url=…)` a name and a URL.
    `key_env` names the environment variable that holds its key; the key itself is never given here: `keep_key` is
    called with the new provider, if it needs one. Raises ConfigError that names what is wrong.
    """
    chosen = known.named(preset) if preset is not None else _meant(name)
    if preset is None and not {"url", "host"} & said.keys():
        if _URL.search(name):
            said["url"], name = name, _name_of(name)
        else:
            chosen = known.named(name)
            name = chosen.title if slug(chosen.title) == slug(name) else name
    added = _file().add(name, preset=chosen, **said)
    if keep_key is not None and added.needs_key:
        keep_key(added)
    return added


def edit(name: str, /, **said: Unpack[Changes]) -> Provider:
    """Change what is said and leave the rest. Raises ConfigError, also where a stored key would go to another host."""
    return _file().edit(name, keys.refuse_moving, **said)


def remove(name: str, /, *, forget_secrets: Keeper = keys.forget_all) -> Provider:
    """Forget a provider and its stored secrets; while these cannot be deleted, the provider stays.

    Raises ConfigError if there is none of this name.
    """
    found = find(name)
    forget_secrets(found)
    return _file().remove(found.id)


def key(name: str, /, *, key: str | None = None, header: str | None = None, number: int = 1) -> SecretsStatus:
    """Keep a provider's key, or the value of one of its secret headers; the status says where it now is.

    A key with a `number` from 2 on is asked with where those before it are rejected, used up or limited.

    It is asked for, without echo. `key=` is for programs that have it from elsewhere: what is written in a cell or a
    script stays there. Raises ConfigError, also where it comes from an environment variable.
    """
    provider = find(name)
    which = keys.Which(header, number)
    keys.refuse_given(provider, which)
    return keys.keep(provider, asking.ask(f"The {which} of '{provider.name}': ") if key is None else key, which)


def enable(name: str, /) -> Provider:
    """Let it be asked again."""
    return _file().edit(name, enabled=True)


def disable(name: str, /) -> Provider:
    """Keep it, but ask it nothing."""
    return _file().edit(name, enabled=False)


def reorder(*names: str) -> Sequence[Provider]:
    """Put these first, in this order; the others follow as they were."""
    return _file().reorder(names)


def list() -> Sequence[Provider]:
    """Every provider that is set up, in order."""
    return _file().load()


def find(name: str, /) -> Provider:
    """The provider of this name. Raises ConfigError if there is none."""
    return _file().find(name)


def offers() -> Sequence[Offer]:
    """Servers of models that run on this machine and are not set up yet. Nothing is added, nothing else is contacted.

    None are looked for where OSAURUS_OFFERS is `off`.
    """
    from osaurus_nb.providers import on_this_machine  # noqa: PLC0415 - listing providers needs no HTTP client

    return on_this_machine.offers(_file().load) if Settings.from_env().offers else ()


def problems() -> Sequence[str]:
    """A sentence for each thing in the providers' file that cannot be read."""
    return _file().read().problems


def presets() -> Sequence[Preset]:
    """The providers that are known by name, with where to get a key."""
    return PRESETS


def _meant(name: str) -> Preset | None:
    """The preset of this name, where its users have one of their own: `add("peer", url=…)`."""
    found = known.find(name)
    return found if found is not None and found.host in ("", "localhost") else None


def _name_of(url: str) -> str:
    """What to call a provider of which only the address was given."""
    address = addresses.parse(url)
    preset = known.recognise(address.host, address.port)
    return preset.title if preset is not None and preset.host else address.host.strip("[]").replace(":", "-")


def _file() -> ProviderFile:
    return ProviderFile(Paths.from_env())
