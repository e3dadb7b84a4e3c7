"""The admin of events.

Django opens the transaction in which it saves a form, so the methods that save call operations, not services.
"""

from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.contrib import admin, messages
from django.contrib.admin.actions import delete_selected
from django.contrib.admin.widgets import AdminSplitDateTime
from django.db import IntegrityError
from django.db.models import DateTimeField, ProtectedError, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import ngettext

from overlord.accounts.selectors import actor_id
from overlord.kernel import clock, db, time_zones
from overlord.kernel.form_fields import DateAndTimeField
from overlord.shop import formats
from tickets import event_edits, event_operations, event_saving, event_selectors, selectors, services
from tickets.admin_forms import EventForm, TicketTypeForm, TicketTypeFormSet
from tickets.models import Event, TicketType, default_time_zone
from tickets.permissions import Permission

CANNOT_DELETE = "The event {} cannot be deleted, because tickets were reserved. Pause its sale instead."


class TicketTypeInline(admin.TabularInline):
    model = TicketType
    form = TicketTypeForm
    formset = TicketTypeFormSet
    extra = 1

    def get_formset(self, request: HttpRequest, obj: Event | None = None, **kwargs: Any) -> Any:
        formset: Any = super().get_formset(request, obj, **kwargs)
        formset.may_pause = request.user.has_perm(Permission.PAUSE_SALE)
        return formset


@admin.register(Event)
class EventAdmin(admin.ModelAdmin):
    form = EventForm
    formfield_overrides: ClassVar = {
        DateTimeField: {"form_class": DateAndTimeField, "widget": AdminSplitDateTime}
    }
    inlines = (TicketTypeInline,)
    list_display = ("name", "local_date", "currency")
    date_hierarchy = "date"
    search_fields = ("name",)
    actions = ("delete_selected", "pause", "resume")

    # Reading ---------------------------------------------------------------------------------------------
    @admin.display(description="date", ordering="date")
    def local_date(self, event: Event) -> str:
        return formats.date_time(event.date, event.time_zone)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> Any:
        try:
            return super().changelist_view(request, extra_context)
        except (ValueError, OverflowError):  # the address names a day, month or year that does not exist
            self.message_user(request, "There is no such date.", messages.ERROR)
            return redirect(request.path)

    # Editing ---------------------------------------------------------------------------------------------
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        try:
            with timezone.override(ZoneInfo(self._time_zone(request, *args))):
                # The page is rendered inside the block, so that its times are in the event's zone too.
                response = super().changeform_view(request, *args, **kwargs)
                return response.render() if isinstance(response, TemplateResponse) else response
        except IntegrityError as error:
            sentence = event_saving.SENTENCES.get(db.violated(error) or "")
            if sentence is None:
                raise
        except ProtectedError:
            sentence = event_saving.TYPE_RESERVED
        self.message_user(request, f"Nothing was saved. {sentence}", messages.ERROR)
        return redirect(request.path)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Return no values. Django would read them from the address, and a date would reach its field as text."""
        return {}

    @staticmethod
    def _time_zone(request: HttpRequest, object_id: str | None = None, *_: Any) -> str:
        """Return the time zone of the form: the one that was sent, else that of the event, else the default."""
        sent = request.POST.get("time_zone", "")
        if time_zones.is_time_zone(sent):
            return sent
        saved = selectors.event_time_zone(int(object_id)) if object_id and _is_id(object_id) else None
        return saved or default_time_zone()

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Event | None:
        """Return the event, or None; if a form was sent, lock the event and note what others have changed in it."""
        event = super().get_object(request, object_id, from_field)
        match = request.resolver_match
        is_sent = request.method == "POST" and match and match.url_name == "tickets_event_change"
        if event is None or not is_sent:
            return event
        locked = event_operations.event_lock(event_id=event.pk)
        if locked is not None and (outdated := event_edits.outdated(locked, request.POST)):
            request.meanwhile, request.POST = outdated  # type: ignore[attr-defined,assignment]
        return locked

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = super().get_form(request, obj, change=change, **kwargs)
        # Django makes this class for each request, so the attributes are set for this request alone.
        form.meanwhile = getattr(request, "meanwhile", ())
        form.may_change_types = request.user.has_perm("tickets.change_tickettype")
        return form

    def save_model(self, request: HttpRequest, obj: Event, form: Any, change: bool) -> None:
        event_saving.event_write(form=form, now=clock.now())
        if form.end_moved is not None:
            when = formats.date_time(form.end_moved, obj.time_zone)
            self.message_user(request, f"The end moved by the same time as the beginning. It is now {when}.")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        event_saving.edit_finish(form=form, now=clock.now())

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        event_saving.types_write(form=form, formset=formset)

    # Deleting --------------------------------------------------------------------------------------------
    def delete_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        event = self.get_object(request, object_id)
        if event is None or not event_selectors.is_reserved(event_id=event.pk):
            try:
                return super().delete_view(request, object_id, *args, **kwargs)
            except ProtectedError:  # tickets were reserved meanwhile
                if event is None:
                    raise
        self.message_user(request, CANNOT_DELETE.format(event), messages.ERROR)
        return redirect("admin:tickets_event_change", event.pk)

    @admin.action(description="Delete selected %(verbose_name_plural)s", permissions=["delete"])
    def delete_selected(self, request: HttpRequest, events: QuerySet[Event]) -> HttpResponse | None:
        """Delete all these events, or none.

        Django's own action logs each event as deleted before it deletes any. Without the transaction, these log
        entries would stay when a deletion is refused.
        """
        try:
            with db.transaction():
                return delete_selected(self, request, events)
        except ProtectedError:  # tickets were reserved meanwhile
            for event in events.all():
                if event_selectors.is_reserved(event_id=event.pk):
                    self.message_user(request, CANNOT_DELETE.format(event), messages.ERROR)
            return None

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        protected = [
            CANNOT_DELETE.format(event) for event in objs if event_selectors.is_reserved(event_id=event.pk)
        ]
        if protected:
            return [], {}, set(), protected
        listed, counts, permissions, protected = super().get_deleted_objects(objs, request)
        return listed, counts, permissions - {"inventory"}, protected  # an inventory goes with its type

    def delete_model(self, request: HttpRequest, obj: Event) -> None:
        event_operations.event_delete(event=obj, now=clock.now())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Event]) -> None:
        for event in sorted(queryset, key=lambda each: each.pk):
            event_operations.event_delete(event=event, now=clock.now())

    # Pausing ---------------------------------------------------------------------------------------------
    def has_pause_sale_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(Permission.PAUSE_SALE)

    def has_view_permission(self, request: HttpRequest, obj: Event | None = None) -> bool:
        return self.has_pause_sale_permission(request) or super().has_view_permission(request, obj)

    @admin.action(description="Pause the sale of the selected events", permissions=["pause_sale"])
    def pause(self, request: HttpRequest, events: QuerySet[Event]) -> None:
        self._set_paused(request, events, paused=True)

    @admin.action(description="Resume the sale of the selected events", permissions=["pause_sale"])
    def resume(self, request: HttpRequest, events: QuerySet[Event]) -> None:
        self._set_paused(request, events, paused=False)

    def _set_paused(self, request: HttpRequest, events: QuerySet[Event], *, paused: bool) -> None:
        event_ids = list(events.values_list("pk", flat=True))
        count = services.sale_pause(
            staff_id=actor_id(request), event_ids=event_ids, paused=paused, now=clock.now()
        )
        if paused:
            text = ngettext(
                "The sale of %d ticket type was paused.", "The sale of %d ticket types was paused.", count
            )
        else:
            text = ngettext(
                "The sale of %d ticket type was resumed.", "The sale of %d ticket types was resumed.", count
            )
        self.message_user(request, text % count, messages.SUCCESS)


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19
