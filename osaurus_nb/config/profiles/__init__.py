"""The user's own ways to choose a model: `profiles.json`, put over those that are shipped.

A person edits the file: it is read again when it changed. Of a faulty one the last good reading stays in force, and
what is wrong is told by its line.
"""

from osaurus_nb.config.profiles.file import ProfileFile
from osaurus_nb.config.profiles.reading import Reading

__all__ = ["ProfileFile", "Reading"]
