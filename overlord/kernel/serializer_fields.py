"""Fields of the API's requests and answers that all apps share, and the base of strict requests."""

from collections.abc import Mapping
from datetime import UTC
from functools import cached_property
from typing import Any

from rest_framework import serializers

from overlord.kernel.money import TEXT_LENGTH
from overlord.kernel.numbers import whole_number

MOST_NAMED = 20  # unknown fields that one answer names, because a body may have a hundred thousand


class StrictSerializer(serializers.Serializer[Any]):
    """Refuses fields that it does not know. Otherwise a misspelled field would be ignored, as if it were left out.

    Requests that move money or take tickets are strict.
    """

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.fields)

    def to_internal_value(self, data: Any) -> Any:
        unknown = data.keys() - self._known if isinstance(data, Mapping) else ()
        if unknown:
            named = sorted(unknown)[:MOST_NAMED]
            raise serializers.ValidationError({name: ["There is no such field."] for name in named})
        return super().to_internal_value(data)


class ShortListField(serializers.ListField):
    """A list that is refused by its length before its elements are read.

    Otherwise a body of a megabyte could have a hundred thousand elements, and to read them would take many seconds.
    """

    max_length: int

    def to_internal_value(self, data: Any) -> list[Any]:
        if isinstance(data, list) and len(data) > self.max_length:
            self.fail("max_length", max_length=self.max_length)
        return list(super().to_internal_value(data))


class WholeNumberField(serializers.IntegerField):
    """A whole number from `min_value` to `max_value`, as `numbers.whole_number` reads it."""

    min_value: int
    max_value: int

    def __init__(self, *, min_value: int, max_value: int, **options: Any) -> None:
        super().__init__(min_value=min_value, max_value=max_value, **options)

    def to_internal_value(self, data: object) -> int:
        try:
            return whole_number(data, least=self.min_value, most=self.max_value)
        except ValueError as error:
            raise serializers.ValidationError(str(error), code="invalid") from None


class MoneyField(serializers.CharField):
    """A decimal string; the caller converts it with `money.to_minor`, because this field has no currency.

    A JSON number is refused, because binary fractions cannot hold many amounts exactly.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(max_length=TEXT_LENGTH, **options)

    def to_internal_value(self, data: object) -> str:
        if not isinstance(data, str):
            raise serializers.ValidationError("This must be a decimal number in a string.", code="invalid")
        return str(super().to_internal_value(data))


class InstantField(serializers.DateTimeField):
    """A date with a time, written in UTC. Without an offset, it is read as UTC and not in the shop's time zone."""

    def __init__(self, **options: Any) -> None:
        super().__init__(default_timezone=UTC, **options)
