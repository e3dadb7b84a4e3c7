"""Ids in paths of URLs.

`<id:event_id>` matches a number up to the largest bigint; a larger one gives a 404. `<uuid_written:scan_id>`
matches a UUID as clients write it: in capitals too, which some platforms use, and without hyphens.
"""

from uuid import UUID

from django.urls import register_converter
from django.urls.converters import IntConverter

from overlord.kernel.numbers import LARGEST_ID


class IdConverter(IntConverter):
    regex = "[0-9]{1,19}"

    def to_python(self, value: str) -> int:
        number = int(value)
        if number > LARGEST_ID:
            raise ValueError("beyond a bigint")
        return number


class UuidConverter:
    regex = "[0-9A-Fa-f-]{32,36}"

    def to_python(self, value: str) -> UUID:
        return UUID(value)

    def to_url(self, value: UUID) -> str:
        return str(value)


register_converter(IdConverter, "id")
register_converter(UuidConverter, "uuid_written")
