"""All HTTP paths. A route that ends with a slash here is served without it too (`kernel/slashes.py`)."""

from csp.constants import UNSAFE_INLINE
from csp.decorators import csp_update
from django.contrib import admin
from django.urls import include, path
from django.views.decorators.cache import cache_control
from drf_spectacular.views import SpectacularSwaggerSplitView

from checkout import pages as checkout
from overlord import health
from overlord.accounts import invitation_pages as invitations
from overlord.accounts import pages as accounts
from overlord.accounts import second_factor_pages as second_factor
from overlord.accounts import token_pages as tokens
from overlord.box_office import attendee_pages as office_attendees
from overlord.box_office import cancel_pages as office_cancel
from overlord.box_office import code_pages as office_codes
from overlord.box_office import counter_pages as office_counter
from overlord.box_office import event_pages as office_events
from overlord.box_office import journal_pages as office_journal
from overlord.box_office import look_pages as office_look
from overlord.box_office import message_pages as office_messages
from overlord.box_office import order_pages as office_orders
from overlord.box_office import people_pages as office_people
from overlord.box_office import personal_data_pages as office_data
from overlord.demo import pages as demo
from overlord.kernel import paths, schema  # noqa: F401  (paths registers `id`)
from overlord.mailings import pages as mailings
from overlord.shop import languages
from overlord.shop import pages as shop
from overlord.shop.shared_answers import shared
from stats import pages as stats
from tickets import pages as tickets
from tickets import search_pages
from tickets.admission import door_pages
from tickets.admission import pages as admission
from tickets.line import pages as line
from tickets.line import staff_pages as line_staff

widget_translations = shared(seconds=3600, cache_control=None)(
    cache_control(max_age=3600)(languages.widgets_catalogue)
)
translations = shared(seconds=3600, cache_control=None)(
    cache_control(max_age=3600)(languages.scripts_catalogue)
)
# The page of the API's documentation comes from drf-spectacular. It has a style in its HTML, which our policy must
# allow. The method OPTIONS is refused, because the library's template cannot show the answer of DRF.
api_docs = csp_update({"style-src": [UNSAFE_INLINE]})(
    SpectacularSwaggerSplitView.as_view(url_name="schema", http_method_names=["get", "head"])
)

pages = [
    path("", tickets.home, name="home"),
    path("sitemap.xml", search_pages.sitemap, name="sitemap"),
    path("robots.txt", search_pages.robots, name="robots"),
    path("imprint/", shop.imprint, name="imprint"),
    path("terms/", shop.terms, name="terms"),
    path("look/current.css", shop.widget_stylesheet, name="widget_stylesheet"),
    path("look/<str:named>.css", shop.stylesheet, name="stylesheet"),
    path("events/<id:event_id>/", tickets.event, name="event"),
    path("events/<id:event_id>/line/", line.line, name="line"),
    path("events/<id:event_id>/line/desk/", line_staff.line_desk, name="line_desk"),
    path("events/<id:event_id>/sale/", tickets.sale, name="sale"),
    path("checkout/<id:reservation_id>/", checkout.checkout, name="checkout"),
    path("checkout/<id:reservation_id>/pay/", checkout.pay, name="pay"),
    path("checkout/<id:reservation_id>/extend/", tickets.extend, name="extend"),
    path("checkout/<id:reservation_id>/amount/", tickets.resize, name="resize"),
    path("checkout/<id:reservation_id>/release/", tickets.release, name="release"),
    path("reservations/return/", checkout.return_tickets, name="return_tickets"),
    path("me/", checkout.me, name="me"),
    path("me/orders/<id:reservation_id>/", admission.order_tickets, name="order_tickets"),
    path("t/worker.js", admission.ticket_worker, name="ticket_worker"),
    path("t/<str:signed>.pdf", admission.tickets_pdf, name="tickets_pdf"),
    path("t/<str:signed>.ics", admission.event_calendar, name="event_calendar"),
    path("t/<str:signed>/", admission.tickets_shown, name="tickets_shown"),
    path("door/", door_pages.door, name="door"),
    path("door/worker.js", door_pages.worker, name="door_worker"),
    path("monitor/", stats.monitor, name="monitor"),
    path("office/", office_events.events, name="office"),
    path("office/look/", office_look.look, name="office_look"),
    path("office/look/logo/", office_look.logo, name="office_logo"),
    path("office/journal/", office_journal.journal_page, name="office_journal"),
    path("office/orders/", office_orders.orders, name="office_orders"),
    path("office/orders/<id:order_id>/", office_orders.order, name="office_order"),
    path("office/orders/<id:order_id>/mail/", office_orders.order_mail, name="office_order_mail"),
    path("office/orders/<id:order_id>/address/", office_orders.order_address, name="office_order_address"),
    path("office/orders/<id:order_id>/release/", office_orders.order_release, name="office_order_release"),
    path("office/orders/<id:order_id>/note/", office_orders.order_note, name="office_order_note"),
    path("office/orders/<id:order_id>/refund/", office_orders.order_refund, name="office_order_refund"),
    path("office/orders/<id:order_id>/retry/", office_orders.order_retry, name="office_order_retry"),
    path(
        "office/orders/<id:order_id>/elsewhere/", office_orders.order_elsewhere, name="office_order_elsewhere"
    ),
    path("office/personal-data/", office_data.persons, name="office_persons"),
    path("office/personal-data/<id:user_id>/", office_data.person_data, name="office_person_data"),
    path("office/personal-data/<id:user_id>/export/", office_data.person_export, name="office_person_export"),
    path("office/people/", office_people.people, name="office_people"),
    path("office/people/roles/", office_people.roles_make, name="office_roles_make"),
    path("office/people/<id:user_id>/", office_people.person, name="office_person"),
    path("office/people/<id:user_id>/end/", office_people.person_end, name="office_person_end"),
    path("office/people/<id:user_id>/reset/", office_people.person_reset, name="office_person_reset"),
    path(
        "office/invitations/<id:invitation_id>/resend/",
        office_people.invitation_resend,
        name="office_invitation_resend",
    ),
    path(
        "office/invitations/<id:invitation_id>/withdraw/",
        office_people.invitation_withdraw,
        name="office_invitation_withdraw",
    ),
    path("office/events/new/", office_events.event_new, name="office_event_new"),
    path("office/events/<id:event_id>/", office_events.event, name="office_event"),
    path("office/events/<id:event_id>/edit/", office_events.event_edit, name="office_event_edit"),
    path("office/events/<id:event_id>/cancel/", office_cancel.cancel, name="office_cancel"),
    path("office/events/<id:event_id>/cancel/retry/", office_cancel.cancel_retry, name="office_cancel_retry"),
    path("office/events/<id:event_id>/sell/", office_counter.counter, name="office_counter"),
    path("office/events/<id:event_id>/codes/", office_codes.codes_list, name="office_codes"),
    path("office/events/<id:event_id>/codes.csv/", office_codes.codes_csv, name="office_codes_csv"),
    path("office/events/<id:event_id>/codes/new/", office_codes.code_new, name="office_code_new"),
    path("office/events/<id:event_id>/codes/<id:code_id>/", office_codes.code_edit, name="office_code"),
    path(
        "office/events/<id:event_id>/codes/<id:code_id>/end/", office_codes.code_end, name="office_code_end"
    ),
    path("office/events/<id:event_id>/picture/", office_events.event_picture, name="office_event_picture"),
    path("office/events/<id:event_id>/copy/", office_events.event_copy, name="office_event_copy"),
    path("office/events/<id:event_id>/status/", office_events.event_status, name="office_event_status"),
    path("office/events/<id:event_id>/attendees/", office_attendees.attendees_list, name="office_attendees"),
    path(
        "office/events/<id:event_id>/attendees.csv/",
        office_attendees.attendees_csv,
        name="office_attendees_csv",
    ),
    path(
        "office/events/<id:event_id>/attendees.xlsx/",
        office_attendees.attendees_xlsx,
        name="office_attendees_xlsx",
    ),
    path(
        "office/events/<id:event_id>/attendees/print/",
        office_attendees.attendees_print,
        name="office_attendees_print",
    ),
    path("office/events/<id:event_id>/messages/", office_messages.messages_page, name="office_messages"),
    path(
        "office/events/<id:event_id>/messages/<id:mailing_id>/",
        office_messages.message_page,
        name="office_message",
    ),
    path(
        "office/events/<id:event_id>/messages/<id:mailing_id>/retry/",
        office_messages.message_retry,
        name="office_message_retry",
    ),
    path("office/events/<id:event_id>/preview/", tickets.preview, name="office_preview"),
    path("news/<str:signed>/", mailings.news, name="news"),
    path("mailbox/", demo.mailbox, name="mailbox"),
    path("login/", accounts.Login.as_view(), name="login"),
    path("logout/", accounts.Logout.as_view(), name="logout"),
    path("signup/", accounts.Signup.as_view(), name="signup"),
    path("password-reset/", accounts.PasswordReset.as_view(), name="password_reset"),
    path("password-reset/sent/", accounts.PasswordResetSent.as_view(), name="password_reset_sent"),
    path("password-reset/<uidb64>/<token>/", accounts.PasswordNew.as_view(), name="password_reset_confirm"),
    path("account/tokens/", tokens.tokens, name="tokens"),
    path("account/tokens/<id:token_id>/end/", tokens.token_end, name="token_end"),
    path("account/second-factor/", second_factor.second_factor_page, name="second_factor"),
    path("invitations/<str:signed>/", invitations.invitation, name="staff_invitation"),
    path("language/", accounts.language_choose, name="language"),
    # A page in English loads no translations. The addresses of the English translations stay, because pages of the
    # former version ask for them.
    *[
        path(f"translations/{code}.js", translations, {"language": code}, name="translations")
        for code in languages.LANGUAGES
    ],
    *[
        path(f"translations/{code}.json", widget_translations, {"language": code})
        for code in languages.LANGUAGES
    ],
]

urlpatterns = [
    path("event/", include("tickets.api.urls")),  # first, because most requests come here when a sale opens
    path("event/", include("checkout.api.reservation_urls")),
    path("event/", include("tickets.line.api.urls")),
    path("payment/", include("checkout.api.urls")),
    *pages,
    path("", include("tickets.admission.api.urls")),
    path("", include("overlord.accounts.api.urls")),
    path("stats/", include("stats.api.urls")),
    path("api/schema/", schema.openapi, name="schema"),
    path("api/docs/", api_docs, name="docs"),
    path("api/asyncapi.yaml", schema.asyncapi),
    path("admin/", admin.site.urls),
    path("livez/", health.livez),
    path("readyz/", health.readyz),
    path("readyz/self/", health.readyz_self),
    path("metrics/", stats.metrics),
]

handler400 = "overlord.shop.error_pages.bad_request"
handler404 = "overlord.shop.error_pages.not_found"
handler500 = "overlord.shop.error_pages.server_error"
