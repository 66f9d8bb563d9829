"""Where a provider is and what is spoken there: pasted URLs, presets and single parts as fields of the app. Pure."""

from __future__ import annotations

from dataclasses import replace

from osaurus_nb.config.providers import addresses, formats
from osaurus_nb.config.providers.addresses import Address
from osaurus_nb.config.providers.fields import Fields, Record, keep, naming
from osaurus_nb.config.providers.presets import Preset
from osaurus_nb.errors import ConfigError

#: The fields that this is about.
SAID = frozenset({"url", "protocol", "host", "port", "base_path", "format"})


def place(address: Address | None, preset: Preset | None, said: Fields) -> tuple[Address, str]:
    """Where the provider is and what is spoken there."""
    if address is None:
        assert preset is not None
        found = Address(preset.protocol, preset.host, preset.port, preset.base_path)
        format = preset.format
    else:
        found, format = _resolved(address, preset)
    format = _checked_format(said.get("format") or format)
    if format in formats.STAND_IN_PATH:  # its clients know the root alone
        for end in (formats.STAND_IN_PATH[format], "/api"):
            found = replace(found, path=found.path.removesuffix(end))
    return _with_parts(found, said), format


def _resolved(address: Address, preset: Preset | None) -> tuple[Address, str]:
    """A pasted address with what the preset adds, and the format: the endpoint's own, the path's, the preset's."""
    if preset is None:
        return address, address.format or "openai"
    if address.bare and address.port is None and preset.port is not None:
        address = replace(address, protocol=preset.protocol, port=preset.port)
    if not address.path:
        return replace(address, path=preset.base_path), address.format or preset.format
    if (variant := preset.variant(address.path)) is not None:
        return replace(address, path=variant.base), address.format or variant.format
    return address, address.format or preset.format


def _with_parts(found: Address, said: Fields) -> Address:
    protocol = said.get("protocol", found.protocol)
    if protocol not in ("http", "https"):
        raise ConfigError("The protocol is http or https.", param="protocol")
    with naming("host"):
        host = addresses.checked_host(said["host"]) if "host" in said else found.host
    with naming("port"):
        port = addresses.checked_port(said["port"]) if "port" in said else found.port
    with naming("base_path"):
        path = addresses.checked_path(said["base_path"]) if "base_path" in said else found.path
    return Address(protocol, host, None if port == addresses.PORTS[protocol] else port, path)


def _checked_format(format: str) -> str:
    if format not in formats.FORMATS:
        raise ConfigError(f"That is not a format we speak. Use one of: {', '.join(formats.FORMATS)}.", param="format")
    return format


def put(record: Record, address: Address, format: str) -> None:
    """Write the place down in the app's words, and beside it what they cannot say."""
    type = formats.told(format, record.row.get("providerType") or "")
    record.row |= {"providerType": type, "providerProtocol": address.protocol, "host": address.host}
    record.row["basePath"] = address.path + formats.STAND_IN_PATH.get(format, "")
    keep(record.row, "port", address.port)
    keep(record.ours, "format", None if format == formats.SPOKEN[type][0] else format)
