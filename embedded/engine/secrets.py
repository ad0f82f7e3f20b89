"""Encrypt and decrypt as Pulumi's passphrase provider does. Called by `state` and `settings`.

Source: pkg/secrets/passphrase and sdk/go/common/resource/config/crypt.go of Pulumi: PBKDF2-HMAC-SHA256 over 1,000,000
rounds, AES-256-GCM, `v1:nonce:ciphertext` in base64; the salt carries the encrypted word "pulumi" as its check.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import secrets as random
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from embedded.engine.values import SECRET_SIGNATURE, SIGNATURE, Secret, to_json, transform
from infra.errors import RefusedError

ROUNDS = 1_000_000
NONCE_BYTES = 12
SALT_BYTES = 8
KEY_BYTES = 32


@functools.lru_cache(maxsize=32)
def _key(passphrase: str, salt: bytes) -> Future[bytes]:
    """Derive the key in a thread: it takes half a second, in which the program is imported."""
    return ThreadPoolExecutor(1).submit(hashlib.pbkdf2_hmac, "sha256", passphrase.encode(), salt, ROUNDS, KEY_BYTES)


class Vault:
    """The secrets of one stack.

    Args:
        passphrase: The stack's.
        salt: The salt of its secrets; a new one where it is empty.
        keep: Puts a passphrase that was generated on the disk.

    Attributes:
        salt: `v1:salt:check`, as `encryptionsalt` in the stack file and in the state's `secrets_providers`.
        keep: Called before a secret is written, so that whoever reads it has its passphrase.
    """

    def __init__(self, passphrase: str, salt: str = "", *, keep: Callable[[], None] = lambda: None) -> None:
        self.keep = functools.cache(keep)
        self.salt = salt or f"v1:{base64.b64encode(random.token_bytes(SALT_BYTES)).decode()}:"
        self._future = _key(passphrase, base64.b64decode(self.salt.split(":")[1]))
        # Unchanged secrets keep their ciphertext, so that a state differs only where something changed.
        self._kept: dict[tuple[str, str], str] = {}
        if not salt:
            self.salt += self.encrypt("pulumi")

    @functools.cached_property
    def _cipher(self) -> Any:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        cipher = AESGCM(self._future.result())
        check = self.salt.split(":", 2)[2]  # a new salt has none yet
        if check and _opened(cipher, check) is None:
            what = "the passphrase is not the one this stack's secrets were encrypted with"
            hint = "Set PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE to the stack's passphrase."
            raise RefusedError(what, detail="the check in the stack's salt does not decrypt", hint=hint)
        return cipher

    def encrypt(self, text: str) -> str:
        """Return `v1:nonce:ciphertext`."""
        nonce = random.token_bytes(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, text.encode(), None)
        return f"v1:{base64.b64encode(nonce).decode()}:{base64.b64encode(sealed).decode()}"

    def decrypt(self, text: str) -> str:
        """Return the plain text of `v1:nonce:ciphertext`.

        Raises:
            ChatdbError: It was not encrypted with this passphrase and salt.
        """
        if (found := _opened(self._cipher, text)) is None:
            why = "it was encrypted with another salt, or it is damaged"
            hint = "Set it again with `--secret`, or restore the stack file or state it came from."
            raise RefusedError("a secret cannot be decrypted", detail=why, hint=hint)
        return found

    def encode(self, value: Any, place: str, *, show: bool = False) -> Any:
        """Return the value as the state holds it.

        Args:
            value: A property value, or a whole resource.
            place: Where it stands (a resource: its URN), so that an unchanged secret there keeps its ciphertext.
            show: Write secrets in plain, as `pulumi stack export --show-secrets` does.
        """

        def sealed(part: Any, at: str) -> Any:
            if not isinstance(part, Secret):
                return part
            text = to_json(part.value)
            if not show and (at, text) not in self._kept:
                self._kept[at, text] = self.encrypt(text)
            held = {"plaintext": text} if show else {"ciphertext": self._kept[at, text]}
            return {SIGNATURE: SECRET_SIGNATURE, **held}

        return transform(value, sealed, place)

    def decode(self, value: Any, place: str) -> Any:
        """Return the property value, or the resource, that stands in a state."""

        def opened(part: Any, at: str) -> Any:
            if not isinstance(part, dict) or part.get(SIGNATURE) != SECRET_SIGNATURE:
                return part
            if (text := part.get("plaintext")) is None:
                text = self.decrypt(part["ciphertext"])
                self._kept[at, text] = part["ciphertext"]
            return Secret(json.loads(text))

        return transform(value, opened, place)


def _opened(cipher: Any, text: str) -> str | None:
    """Return the plain text of `v1:nonce:ciphertext`; None where the key is another one, or it is not of this form."""
    from cryptography.exceptions import InvalidTag

    try:
        _, nonce, sealed = text.split(":")
        return str(cipher.decrypt(base64.b64decode(nonce), base64.b64decode(sealed), None).decode())
    except (ValueError, InvalidTag):
        return None
