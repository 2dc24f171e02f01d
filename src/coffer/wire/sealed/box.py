"""Authenticated encryption: ChaCha20-Poly1305 of the library `cryptography`, and nothing of our own."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

NONCE_BYTES = 12
TAG_BYTES = 16


class SealBrokenError(Exception):
    """It was not sealed with this key, for this purpose, or is not what was sealed."""


def new_key() -> bytes:
    """Return a key of 256 random bits."""
    return ChaCha20Poly1305.generate_key()


def lock(key: bytes, plain: bytes, about: bytes) -> tuple[bytes, bytes]:
    """Return a nonce and the box; `about` is not in it, but the box opens only beside the same.

    The nonce is random: nobody has to remember one. A key seals some millions of messages in its life, and two of 2^48
    would meet with a chance of one in two.
    """
    nonce = os.urandom(NONCE_BYTES)
    return nonce, ChaCha20Poly1305(key).encrypt(nonce, plain, about)


def unlock(key: bytes, nonce: bytes, box: bytes, about: bytes) -> bytes:
    """Return what is in a box.

    Raises:
        SealBrokenError: the box, what it is about, or the key is not the one of `lock`.
    """
    try:
        return ChaCha20Poly1305(key).decrypt(nonce, box, about)
    except InvalidTag:
        raise SealBrokenError from None
