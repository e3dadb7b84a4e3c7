"""Ids in paths of URLs: `<id:event_id>` matches a number up to the largest bigint. A larger one gives a 404."""

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


register_converter(IdConverter, "id")
