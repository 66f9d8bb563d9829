"""A provider's records, made or changed: what was said, what its preset knows, the defaults of the app. Pure."""

from __future__ import annotations

from dataclasses import replace

from osaurus_nb.config.providers import addresses, places, presets
from osaurus_nb.config.providers.addresses import Address
from osaurus_nb.config.providers.fields import Changes, Fields, Record, naming, write
from osaurus_nb.config.providers.presets import Preset
from osaurus_nb.config.providers.provider import Provider
from osaurus_nb.errors import ConfigError


def start(record: Record, preset: Preset | None, said: Changes) -> None:
    """Fill a new record: what was said, else what the preset knows, else the app's defaults."""
    with naming("url"):
        address = addresses.parse(said["url"]) if "url" in said else None
    if address is not None:
        preset = preset or presets.recognise(address.host, address.port)
    elif "host" in said:
        preset = preset or presets.recognise(said["host"], said.get("port")) or presets.named("custom")
    elif preset is None:
        raise ConfigError("A provider needs an address: --url http://host:8000/v1.", param="url")
    elif not preset.host:
        raise ConfigError(f"{preset.title} is at an address of yours: --url {preset.address}.", param="url")
    record.row |= {"enabled": True, "autoConnect": True, "timeout": 60, "disableTimeout": False}
    record.row |= {"customHeaders": {}, "secretHeaderKeys": [], "manualModelIds": [], "authType": "none"}
    record.row["providerType"] = preset.type if preset is not None else ""
    places.put(record, *places.place(address, preset, said))
    write(record, {**_known(address, preset), **said})


def change(record: Record, provider: Provider, said: Changes) -> None:
    """Write what was said over what is there."""
    if places.SAID & said.keys():
        if provider.unsupported is not None and "format" not in said:
            raise ConfigError(
                f"'{provider.name}' cannot be moved: {provider.unsupported}. Give it a --format.", param="format"
            )
        places.put(record, *_moved(record, provider, said))
    write(record, said)


def _moved(record: Record, provider: Provider, said: Fields) -> tuple[Address, str]:
    """The new place. What is spoken stays, unless the new address says otherwise."""
    if "url" not in said:
        host = addresses.checked_host(provider.host)
        known = Address(provider.protocol, host, provider.port, provider.base_path, provider.format)
        return places.place(known, None, said)
    with naming("url"):
        address = addresses.parse(said["url"])
    preset = presets.recognise(address.host, address.port)
    if preset is None or preset is presets.recognise(provider.host, provider.port):
        address = replace(address, format=address.format or provider.format)
    else:
        record.row["providerType"] = preset.type
    return places.place(address, preset, said)


def _known(address: Address | None, preset: Preset | None) -> Changes:
    """What goes without saying."""
    known: Changes = {}
    if preset is not None and preset.auth == "key":
        known["auth"] = "key"
    models = [address.model] if address is not None and address.model else preset.models if preset is not None else ()
    if models:
        known["models"] = models
    return known
