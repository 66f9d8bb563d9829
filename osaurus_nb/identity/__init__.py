"""Who one is towards the Router and who may ask us: keys, signatures, access keys. No network, no secret in a file.

`Identity` and `AccessKeys` are the room's front; `AccessKey`, `Agent` and `IssuedKey` are what they tell. The secret is
in a `Keeper`, which is the vault. Below them: `signer` holds a private key, `envelopes` and `requests` say which bytes
are signed and who signed them, `access` makes and judges osk-v1 keys, `phrase` writes a key as 24 words.
"""
