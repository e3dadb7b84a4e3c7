"""The header If-Match: a client says which version of a resource it has read.

The version is a field of the answer, and not in an ETag header: a cache would treat two answers with the same ETag
as equal. But some fields change without a new version: the seconds left of a hold, and the price of an unpaid
payment.
"""

import re
from collections.abc import Mapping

from overlord.kernel.errors import Invalid, Outdated

HEADER = "If-Match"
SHAPE = r'^(\*|"[0-9]{1,19}")$'


def version_of(headers: Mapping[str, str]) -> int | None:
    """Return the version in the header; None without a header or for `*`. Raise Invalid if it is unreadable."""
    given = headers.get(HEADER)
    if given is None or given == "*":
        return None
    if re.fullmatch(SHAPE, given) is None:
        sentence = f'{HEADER} must be * or the `version` that you read, in quotes, such as "3".'
        raise Invalid(sentence, errors={HEADER: [sentence]})
    return int(given.strip('"'))


def check_version(made_from: int | None, version: int) -> None:
    """Raise Outdated, with the current `version`, if the client has read another one.

    `made_from` is the version that the client has read; None if the request does not say which.
    """
    if made_from not in (None, version):
        raise Outdated(version=version)
