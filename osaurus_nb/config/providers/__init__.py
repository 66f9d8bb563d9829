"""The remote providers that the user set up: `providers/remote.json`, shared with the Osaurus app.

The app's keys and rows that we do not know are kept as they are. What is ours alone (where a key is read from, a format
that the app does not know, a numbered name) is in a side file: the app would drop the one and choke on the other.
Neither file ever holds a secret.
"""

from osaurus_nb.config.providers.addresses import Address, base_url
from osaurus_nb.config.providers.fields import Changes, Fields
from osaurus_nb.config.providers.file import Contents, ProviderFile
from osaurus_nb.config.providers.presets import PRESETS, Preset
from osaurus_nb.config.providers.provider import Provider

__all__ = ["PRESETS", "Address", "Changes", "Contents", "Fields", "Preset", "Provider", "ProviderFile", "base_url"]
