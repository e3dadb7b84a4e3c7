"""The header Idempotency-Key: if a client repeats a request with the same key, its work is done only once."""

import re
from collections.abc import Mapping

from overlord.kernel.errors import Invalid

HEADER = "Idempotency-Key"
KEY_LENGTH = 64
SHAPE = f"^[ -~]{{1,{KEY_LENGTH}}}$"


def key_of(headers: Mapping[str, str]) -> str | None:
    """Return the key of a request, or None; raise Invalid unless it has 1 to 64 printable ASCII characters."""
    key = headers.get(HEADER)
    if key is not None and re.fullmatch(SHAPE, key) is None:
        sentence = f"An {HEADER} must have 1 to {KEY_LENGTH} printable ASCII characters."
        raise Invalid(sentence, errors={HEADER: [sentence]})
    return key


def replayed_headers(replayed: bool) -> dict[str, str]:
    """Return the headers that say that an answer repeats an earlier one; {} if it does not."""
    return {"Idempotency-Replayed": "true"} if replayed else {}
