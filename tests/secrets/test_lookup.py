"""What is given to a process wins over what is stored, and is never written."""

from __future__ import annotations

import pytest

from osaurus_nb.config.providers import ProviderFile
from osaurus_nb.errors import ConfigError
from osaurus_nb.secrets import API_KEY, Secrets, header, numbered
from osaurus_nb.secrets.values import position_of
from tests.secrets.conftest import KEY

ID = "6F1B2C52-0000-4000-8000-000000000001"


@pytest.fixture
def secrets(paths) -> Secrets:
    """A process with a vault, and variables that tests fill."""
    return Secrets(
        paths,
        env={"OSAURUS_VAULT_KEY": KEY},
        variables=lambda provider, name: ("LAB_KEY", "LAB_TOKEN") if (provider, name) == (ID, API_KEY) else (),
    )


def having(secrets: Secrets, paths, **env: str) -> Secrets:
    return Secrets(paths, env={"OSAURUS_VAULT_KEY": KEY} | env, variables=secrets._variables)


def test_the_environment_wins_over_the_vault(secrets, paths):
    """A variable of the provider's is taken before what is stored, and the origin says so."""
    secrets.set(ID, API_KEY, "sk-stored")

    now = having(secrets, paths, LAB_TOKEN="sk-from-environment")

    assert now.get(ID, API_KEY) == "sk-from-environment"
    assert now.origin(ID, API_KEY) == "environment variable LAB_TOKEN"
    assert (secrets.get(ID, API_KEY), secrets.origin(ID, API_KEY)) == ("sk-stored", "vault")


def test_a_mounted_file_wins_over_the_vault_and_may_rotate(secrets, paths, tmp_path):
    """What the file holds now is the key, with or without a line's end."""
    secrets.set(ID, API_KEY, "sk-stored")
    file = tmp_path / "lab"
    now = having(secrets, paths, LAB_KEY_FILE=str(file))

    file.write_text("sk-first\n")
    first = now.get(ID, API_KEY)
    file.write_text("sk-second")

    assert (first, now.get(ID, API_KEY)) == ("sk-first", "sk-second")
    assert now.origin(ID, API_KEY) == "file that LAB_KEY_FILE names"


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "Cannot read"), (b"", "one secret"), (b"a\nb", "one secret"), (b"\xff\xfe", "one secret")],
)
def test_a_file_that_holds_no_secret_is_an_error(secrets, paths, tmp_path, content, told):
    """Who names a file wants that one: the stored key is not used in its stead."""
    secrets.set(ID, API_KEY, "sk-stored")
    file = tmp_path / "lab"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigError, match=f"{told}.*LAB_KEY_FILE|LAB_KEY_FILE.*{told}"):
        having(secrets, paths, LAB_KEY_FILE=str(file)).get(ID, API_KEY)


def test_a_given_secret_is_read_only(secrets, paths):
    """Storing another one beside it would have no effect, so it is refused, naming what wins."""
    with pytest.raises(ConfigError, match="environment variable LAB_KEY, which wins"):
        having(secrets, paths, LAB_KEY="sk-given").set(ID, API_KEY, "sk-typed")

    assert secrets.names(ID) == ()


@pytest.mark.parametrize("value", ["a\nb", "a\x00b", "a\rb: c"])
def test_a_secret_is_one_line(secrets, value):
    """What could not be sent in a header is refused when it is typed, without being repeated."""
    with pytest.raises(ConfigError, match="one line") as caught:
        secrets.set(ID, API_KEY, value)

    assert value not in str(caught.value)


def test_space_around_a_pasted_key_is_dropped(secrets):
    """A key copied with its line's end works."""
    secrets.set(ID, API_KEY, "  sk-pasted\n")

    assert secrets.get(ID, API_KEY) == "sk-pasted"


def test_the_providers_file_names_the_variables(paths):
    """The key's variable is the one that was set up for the provider; the file is followed as it changes."""
    env = {"OSAURUS_VAULT_KEY": KEY, "LAB_KEY": "sk-lab"}
    secrets = Secrets(paths, env=env)
    before = secrets.get("unknown", API_KEY)

    lab = ProviderFile(paths).add("lab", "http://127.0.0.1:9/v1", key_env="LAB_KEY")

    assert before is None
    assert secrets.get(lab.id, API_KEY) == "sk-lab"
    assert secrets.get(lab.id, header("X-Team")) is None


def test_names_of_ours_are_no_provider(secrets):
    """A provider that calls itself like a room of ours gets none of its keys."""
    secrets.slots.set("identity", "master", "11" * 32)

    assert secrets.get("osaurus.identity", "master") is None
    with pytest.raises(ConfigError, match="no provider"):
        secrets.set("osaurus.identity", "master", "22" * 32)
    with pytest.raises(ConfigError, match="no provider"):
        secrets.delete("osaurus.identity")
    assert secrets.slots.get("identity", "master") == "11" * 32


def test_further_keys_are_numbered(paths):
    """A provider's second key is in its variable with a `_2`; a gap ends the row, but not before what is stored."""
    one = ProviderFile(paths).add("one", "http://127.0.0.1:9/v1", key_env="A_KEY")
    env = {"OSAURUS_VAULT_KEY": KEY, "A_KEY_2": "second", "A_KEY_3": "third", "A_KEY_5": "beyond"}
    secrets = Secrets(paths, env=env)

    given = list(secrets.further(one.id, API_KEY))
    secrets.set(one.id, numbered(API_KEY, 6), "sixth")
    stored = list(secrets.further(one.id, API_KEY))

    assert given == [2, 3]
    assert stored == [2, 3, 4, 5, 6]
    assert [secrets.get(one.id, numbered(API_KEY, at)) for at in stored] == ["second", "third", None, "beyond", "sixth"]


def test_the_key_of_another_provider_is_not_a_further_one(paths):
    """Two accounts whose variables look numbered stay two accounts."""
    file = ProviderFile(paths)
    one = file.add("one", "http://127.0.0.1:9/v1", key_env="A_KEY")
    file.add("other", "http://127.0.0.1:9/v1", key_env="A_KEY_2")

    secrets = Secrets(paths, env={"A_KEY": "mine", "A_KEY_2": "not mine"})

    assert list(secrets.further(one.id, API_KEY)) == []
    assert secrets.get(one.id, numbered(API_KEY, 2)) is None


@pytest.mark.parametrize(
    ("name", "position"),
    [("apiKey", 1), ("apiKey.2", 2), ("apiKey.12", 12), ("apiKey.x", 0), ("apiKey.", 0), ("header.apiKey", 0)],
)
def test_positions_are_read_from_names(name, position):
    """Only what we write ourselves is a number."""
    assert position_of(name, API_KEY) == position
    assert position == 0 or numbered(API_KEY, position) == name
