"""The state of the vault in sentences, for whoever shows it. Asks nobody, opens nothing."""

from __future__ import annotations

from osaurus_nb.errors import ConfigError
from osaurus_nb.secrets.custody import INSTALL, KEY_VARIABLE, NO_CIPHER, REMEDY
from osaurus_nb.secrets.sealing import Sealed
from osaurus_nb.secrets.values import SecretsStatus, Tier, VaultDamaged
from osaurus_nb.secrets.vault import Vault

BADGE = "Insecure: the vault's key is in a file in clear"
_PLACES: dict[Tier, str] = {
    "given": "is given to this process",
    "keychain": "is in the system's keychain",
    "passphrase": "is made from your passphrase",
    "file": "is in a file in clear beside it: whoever can read your files can read your secrets",
}
_UNLOCK: dict[Tier, str] = {
    "given": f"Set {KEY_VARIABLE}, or {KEY_VARIABLE}_FILE, to the key that the vault was made with.",
    "keychain": (
        "Unlock the keychain, then say `osaurus-nb vault unlock` or, in a notebook, `%osaurus vault unlock`. "
        "If its item is gone, move vault.bin away and enter the keys again."
    ),
    "passphrase": "Type the passphrase to open it: `osaurus-nb vault unlock`, in a notebook `%osaurus vault unlock`.",
    "file": "Put vault.key back as it was. If it is gone for good, move vault.bin away and enter the keys again.",
}


def report(vault: Vault, *, held: int) -> SecretsStatus:
    """`held` secrets are in this process's memory alone."""
    status = _status(vault)
    aside = vault.file.set_aside()
    told = status.told
    if held and not status.lasting:
        told += f" {held} {'secret ends' if held == 1 else 'secrets end'} with this process."
    if aside:
        told += f" A damaged vault was put aside as {aside[-1]}."
    return SecretsStatus(status.state, status.tier, told, status.next_step, status.badge, aside, held)


def _status(vault: Vault) -> SecretsStatus:
    try:
        sealed = vault.file.read()
    except VaultDamaged:
        sealed = None  # it was put aside just now, and is told as that
    except ConfigError as exc:
        return SecretsStatus("locked", None, str(exc))
    return _without_vault(vault) if sealed is None else _with_vault(vault, sealed)


def _with_vault(vault: Vault, sealed: Sealed) -> SecretsStatus:
    tier = sealed.tier
    badge, move = (
        (BADGE, "Move the key: `osaurus-nb vault keep keychain`, or `… keep passphrase`.")
        if tier == "file"
        else (None, None)
    )
    if vault.custody.known(sealed) is not None:
        by = "is given to this process" if vault.custody.given() else _PLACES[tier]
        return SecretsStatus("open", tier, f"Secrets are kept in the vault; its key {by}.", move, badge)
    failed = vault.custody.failed(sealed)
    if failed is None:
        return SecretsStatus("unopened", tier, "The vault has not been opened yet in this process.", None, badge)
    unset = f"Unset {KEY_VARIABLE} and {KEY_VARIABLE}_FILE, or set them to the key that the vault was made with."
    return SecretsStatus("locked", tier, failed, unset if vault.custody.given() else _UNLOCK[tier], badge)


def _without_vault(vault: Vault) -> SecretsStatus:
    nowhere = vault.custody.nowhere
    if nowhere is not None:
        remedy = INSTALL if nowhere == NO_CIPHER else REMEDY
        return SecretsStatus("memory", None, f"{nowhere} Secrets are kept in memory only.", remedy)
    tier: Tier | None = "given" if vault.custody.given() else None
    return SecretsStatus("empty", tier, "No secret is stored yet.")
