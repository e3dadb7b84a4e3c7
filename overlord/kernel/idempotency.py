"""The header Idempotency-Key: a client repeats a request with the same key, and its work is done once."""

from collections.abc import Mapping

from overlord.kernel.errors import Invalid

HEADER = "Idempotency-Key"
KEY_LENGTH = 64


def key_of(headers: Mapping[str, str]) -> str | None:
    """Return the key of a request, if any; raise Invalid unless it has 1 to 64 printable ASCII characters."""
    key = headers.get(HEADER)
    if key is not None and not (0 < len(key) <= KEY_LENGTH and key.isascii() and key.isprintable()):
        sentence = f"An {HEADER} must have 1 to {KEY_LENGTH} printable ASCII characters."
        raise Invalid(sentence, errors={HEADER: [sentence]})
    return key


def replayed_headers(replayed: bool) -> dict[str, str]:
    """Return the headers of an answer, which say whether it repeats an earlier one."""
    return {"Idempotency-Replayed": "true"} if replayed else {}
