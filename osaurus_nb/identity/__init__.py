"""Who one is towards the Router and who may ask us: keys, signatures, access keys. No network, no secret in a file.

`identity.Identity`, `book.AccessKeys` and `current.Current` are the room's front. The secret is in a `Keeper`: the
slots of the vault, a room that this one does not know. Below them `signer` holds a private key, `envelopes` and
`requests` say which bytes are signed and who signed them, `access` makes and judges osk-v1 keys, and `phrase` writes a
key as 24 words.
"""
