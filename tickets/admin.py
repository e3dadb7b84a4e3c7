"""The organiser's screens. A ModelAdmin saves in a transaction of its own, so it calls operations."""

from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminSplitDateTime
from django.db import IntegrityError
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone

from overlord.kernel import clock, db, money, time_zones
from overlord.shop import formats
from tickets import event_operations, services
from tickets.models import Event, Inventory, Reservation, TicketType, default_time_zone


class TicketTypeForm(ModelForm):
    """A ticket type with what staff decide about its sale, as if it were one thing; prices as people write them."""

    price = forms.CharField(help_text="15.00")
    capacity = forms.IntegerField(min_value=0)
    opens_at = forms.SplitDateTimeField(required=False, widget=AdminSplitDateTime())
    closes_at = forms.SplitDateTimeField(
        required=False, widget=AdminSplitDateTime(), help_text="Empty: the event's date."
    )
    paused = forms.BooleanField(required=False)

    class Meta:
        model = TicketType
        fields = ("name", "price", "capacity", "max_per_user", "opens_at", "closes_at", "paused")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        inventory = Inventory.objects.filter(pk=self.instance.pk).first() if self.instance.pk else None
        self.taken = inventory.held + inventory.sold if inventory else 0
        if inventory:
            for name in ("capacity", "opens_at", "closes_at", "paused"):
                self.fields[name].initial = getattr(inventory, name)
            self.initial["price"] = money.to_text(self.instance.price_minor, self.instance.event.currency)

    def clean_price(self) -> int:
        event = getattr(self.instance, "event", None)
        try:
            return money.to_minor(self.cleaned_data["price"], event.currency if event else "EUR")
        except ValueError as error:
            raise forms.ValidationError(str(error)) from None

    def clean_capacity(self) -> int:
        capacity: int = self.cleaned_data["capacity"]
        if capacity < self.taken:
            raise forms.ValidationError(f"{self.taken} tickets are held or sold already.")
        return capacity


class TicketTypeInline(admin.TabularInline):
    model = TicketType
    form = TicketTypeForm
    extra = 1


class EventForm(ModelForm):
    time_zone = forms.ChoiceField(
        choices=lambda: [(name, name) for name in time_zones.names()],
        initial=default_time_zone,
        help_text="Dates and times on this page and on the event's pages are in this time zone.",
    )

    def clean_currency(self) -> str:
        currency = self.cleaned_data["currency"].upper()
        if not money.is_currency(currency):
            raise forms.ValidationError("No ISO 4217 currency.")
        return currency


@admin.register(Event)
class EventAdmin(admin.ModelAdmin):
    form = EventForm
    inlines = (TicketTypeInline,)
    list_display = ("name", "local_date", "currency")
    date_hierarchy = "date"
    search_fields = ("name",)
    actions = ("pause", "resume")

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            with timezone.override(ZoneInfo(self._time_zone(request, *args))):
                # Rendered here, so that the form shows its times in the event's zone too.
                response = super().changeform_view(request, *args, **kwargs)
                return response.render() if isinstance(response, TemplateResponse) else response
        except IntegrityError as error:
            if db.violated(error) != "inventory_never_oversold":
                raise
            # Sold while the form was open. The transaction is undone; the form is shown anew.
            self.message_user(
                request,
                "Nothing was saved: a capacity is below what is held and sold by now.",
                messages.ERROR,
            )
            return redirect(request.path)

    @staticmethod
    def _time_zone(request: HttpRequest, object_id: str | None = None, *_: Any) -> str:
        """Return the zone of the event's times: as the form was sent, as it is saved, or the installation's."""
        sent = request.POST.get("time_zone", "")
        if time_zones.is_time_zone(sent):
            return sent
        known = (
            Event.objects.filter(pk=object_id)
            if object_id and object_id.isdecimal()
            else Event.objects.none()
        )
        return known.values_list("time_zone", flat=True).first() or default_time_zone()

    @admin.display(description="date", ordering="date")
    def local_date(self, event: Event) -> str:
        return formats.date_time(event.date, event.time_zone)

    def save_model(self, request: HttpRequest, obj: Event, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if change and "date" in form.changed_data:
            event_operations.event_moved(event_id=obj.pk, before=form.initial["date"], after=obj.date)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        event_operations.event_changed(event_id=form.instance.pk, now=clock.now())

    def delete_model(self, request: HttpRequest, obj: Event) -> None:
        event_operations.event_delete(event=obj, now=clock.now())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> None:
        services.events_delete(events=list(queryset), now=clock.now())

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        if formset.model is not TicketType:
            super().save_formset(request, form, formset, change)
            return
        formset.save(commit=False)
        for deleted in formset.deleted_objects:
            event_operations.ticket_type_delete(ticket_type=deleted, now=clock.now())
        for line in formset.forms:
            if line.has_changed() and not line.cleaned_data.get("DELETE"):
                line.instance.price_minor = line.cleaned_data["price"]
                line.instance.save()
                decided = {
                    name: line.cleaned_data[name] for name in ("capacity", "opens_at", "closes_at", "paused")
                }
                event_operations.inventory_set(ticket_type=line.instance, now=clock.now(), **decided)
        formset.save_m2m()

    @admin.action(description="Pause the sale of the selected events")
    def pause(self, request: HttpRequest, events: QuerySet[Event]) -> None:
        self._set_paused(request, events, paused=True)

    @admin.action(description="Resume the sale of the selected events")
    def resume(self, request: HttpRequest, events: QuerySet[Event]) -> None:
        self._set_paused(request, events, paused=False)

    def _set_paused(self, request: HttpRequest, events: QuerySet[Event], *, paused: bool) -> None:
        count = services.sale_pause(
            event_ids=list(events.values_list("pk", flat=True)), paused=paused, now=clock.now()
        )
        word = "paused" if paused else "resumed"
        self.message_user(request, f"The sale of {count} ticket types is {word}.", messages.SUCCESS)


@admin.register(Reservation)
class ReservationAdmin(admin.ModelAdmin):
    """To look at only: reservations change by their use cases."""

    list_display = ("id", "buyer", "ticket_type", "quantity", "state", "created", "expires_at", "ended_at")
    list_filter = ("state",)
    list_select_related = ("buyer", "ticket_type")
    search_fields = ("=id", "buyer__username", "buyer__email")
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Reservation | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Reservation | None = None) -> bool:
        return False
