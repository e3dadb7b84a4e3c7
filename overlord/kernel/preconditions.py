"""The header If-Match: a client says from which version of a resource it made its request.

Answers have no ETag of these versions: what counts down in a reservation, and what an unpaid payment costs, changes
without them, so a cache must not take one for the whole answer.
"""

import re
from collections.abc import Mapping

from overlord.kernel.errors import Invalid, Outdated

HEADER = "If-Match"
SHAPE = r'^(\*|"[0-9]{1,19}")$'


def version_of(headers: Mapping[str, str]) -> int | None:
    """Return the version that a request was made from; None for none or `*`; raise Invalid if it is unreadable."""
    given = headers.get(HEADER)
    if given is None or given == "*":
        return None
    if re.fullmatch(SHAPE, given) is None:
        sentence = f'{HEADER} must be the `version` of what is changed, in quotes, such as "3", or *.'
        raise Invalid(sentence, errors={HEADER: [sentence]})
    return int(given.strip('"'))


def check_version(made_from: int | None, version: int) -> None:
    """Raise Outdated, which names the present version, if a request was made from another one."""
    if made_from not in (None, version):
        raise Outdated(version=version)
