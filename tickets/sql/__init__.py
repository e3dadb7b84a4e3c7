"""The app's SQL, where it is clearer or quicker than the ORM.

Statements are read from files at import. Migrations make the functions; their files here have the present text.
"""

from pathlib import Path

from overlord.kernel.db import columns
from tickets.models import Event, Reservation, TicketType

_FOLDER = Path(__file__).parent


def text(name: str) -> str:
    """Return the text of `name`.sql in this folder."""
    return (_FOLDER / f"{name}.sql").read_text()


# A claim and the check of its buyer are one statement. The claim takes the result of the check, so the check runs
# first.
_BUYER_CHECK = (
    "buyer_check(%(buyer)s, %(ticket_type)s, %(order)s,"
    " %(most_held)s, %(expired)s, make_interval(secs => %(cooling)s))"
)
# Buyers cannot claim a hidden type: if a type is hidden, this returns no row, so the claim does not run and writes
# nothing. The function of the claim looks again after the lock, because staff may hide a type while a claim waits.
_CHECKED = (
    f"(SELECT {_BUYER_CHECK} AS may WHERE NOT EXISTS"  # noqa: S608
    " (SELECT FROM tickets_tickettype t WHERE t.hidden AND t.id {types})) b"
)
CLAIM = (
    f"SELECT c.* FROM {_CHECKED.format(types='= %(ticket_type)s')}"  # noqa: S608
    " CROSS JOIN LATERAL reservation_claim(CASE WHEN b.may THEN %(buyer)s END,"
    " %(ticket_type)s, %(quantity)s, %(key)s, make_interval(secs => %(hold_seconds)s)) c"
)
CLAIM_ORDER = (
    f"SELECT c.* FROM {_CHECKED.format(types='= ANY (%(ticket_types)s)')}"  # noqa: S608
    " CROSS JOIN LATERAL reservations_claim(CASE WHEN b.may THEN %(buyer)s END, %(ticket_types)s, %(quantities)s,"
    " %(order)s, %(key)s, make_interval(secs => %(hold_seconds)s), NULL, 'batch') c"
)
# A voucher may be for hidden types, so only the function decides about them.
CLAIM_WITH_VOUCHER = (
    f"SELECT c.* FROM (SELECT {_BUYER_CHECK} AS may) b"  # noqa: S608
    " CROSS JOIN LATERAL reservations_claim(CASE WHEN b.may THEN %(buyer)s END, %(ticket_types)s, %(quantities)s,"
    " %(order)s, %(key)s, make_interval(secs => %(hold_seconds)s), %(voucher)s, %(request)s) c"
)
# Staff at the counter claim for a new buyer, even hidden types. They use the same function without the check.
CLAIM_BY_STAFF = (
    "SELECT * FROM reservations_claim(%(buyer)s, %(ticket_types)s, %(quantities)s, NULL, NULL,"
    " make_interval(secs => %(hold_seconds)s), NULL, 'counter')"
)
GIVE_ORDERS = "SELECT * FROM orders_give(%(event)s, %(baskets)s, make_interval(secs => %(hold_seconds)s))"
RELEASE_DUE = "SELECT *, clock_timestamp() AS at FROM holds_release_due(%(ticket_type)s, %(most)s)"
GLANCE = "SELECT * FROM sweep_glance(%(after)s, %(until)s, %(thresholds)s)"
CLAIM_FACTS = text("claim_facts")
HOLDS_EXPIRING = text("holds_expiring")
INVENTORIES_LOCK = text("inventories_lock")
INVENTORY_CHANGE = (
    "SELECT * FROM inventory_change(%(ticket_type)s, %(held)s, %(sold)s, %(revenue_minor)s,"
    " %(paid)s, %(expired)s, %(failed)s)"
)
ORDER_VALIDATE = "SELECT * FROM order_validate(%(reservations)s::bigint[], %(minor)s::bigint[], %(now)s)"
INVENTORY_STEP = text("inventory_step")
RESERVATION_BY_KEY = text("reservation_by_key")
SALE_BOUNDARIES = text("sale_boundaries")
TYPES_WITH_DUE_HOLDS = text("types_with_due_holds")
VOUCHER_FACTS = (
    f"{text('voucher_facts')} WHERE v.event_id = %(event)s"
    " AND accounts_name_key(v.text) = accounts_name_key(%(text)s)"
)
VOUCHER_FACTS_BY_ID = f"{text('voucher_facts')} WHERE v.id = %(voucher)s"
EVENT_STATUS_LOCKED = "SELECT status FROM tickets_event WHERE id = %s FOR SHARE"
VOUCHERS_LOCK = "SELECT FROM tickets_voucher WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"

# The reservations of orders, each with its ticket type and its event.
_RESERVATIONS = (
    f"SELECT {columns(Reservation, of='r')}, {columns(TicketType, of='t')}, {columns(Event, of='e')}"  # noqa: S608
    " FROM tickets_reservation r"
    " JOIN tickets_tickettype t ON t.id = r.ticket_type_id JOIN tickets_event e ON e.id = t.event_id"
)
_LOCKED = " ORDER BY r.id FOR NO KEY UPDATE OF r"
RESERVATION_LOCK = f"{_RESERVATIONS} WHERE r.id = %(reservation)s{_LOCKED}"
OWN_RESERVATION_LOCK = f"{_RESERVATIONS} WHERE r.id = %(reservation)s AND r.buyer_id = %(buyer)s{_LOCKED}"
_OF_ORDERS = "WHERE r.id = ANY(%(orders)s) AND r.lead_id IS NULL OR r.lead_id = ANY(%(orders)s) ORDER BY r.id"
ORDERS = f"{_RESERVATIONS} {_OF_ORDERS}"
ORDERS_ALONE = f"SELECT {columns(Reservation, of='r')} FROM tickets_reservation r {_OF_ORDERS}"  # noqa: S608
ORDER_OF_RESERVATION = (
    "SELECT COALESCE(lead_id, id) AS order_id FROM tickets_reservation"
    " WHERE id = %(reservation)s AND buyer_id = %(buyer)s"
)
_ORDER_LOCK = (
    f"SELECT {columns(Reservation, of='(l.reservation)')}, {columns(TicketType, of='(l.ticket_type)')},"  # noqa: S608
    f" {columns(Event, of='(l.event)')}, clock_timestamp() AS now FROM order_lock({{order}}) l"
)
ORDER_LOCK = _ORDER_LOCK.format(order="%(order)s")
ORDER_LOCK_WITH = _ORDER_LOCK.format(order=f"({ORDER_OF_RESERVATION})")

# Events as `representation.event_detail` shows them: what staff edit, and the figures.
EVENTS_STATIC = (
    "SELECT id, name, date, ends_at, time_zone, venue, address, description, picture, currency, buyers, opening,"
    " status, version FROM tickets_event WHERE id = ANY(%(events)s) AND (status <> 'draft' OR %(drafts)s)"
)
TYPES_STATIC = (
    "SELECT event_id, id, name, price_minor, max_per_user, hidden FROM tickets_tickettype"
    " WHERE event_id = ANY(%(events)s) AND (NOT hidden OR id = ANY(%(hidden)s)) ORDER BY id"
)
FIGURES = (
    "SELECT t.event_id AS event, i.ticket_type_id AS ticket_type, i.capacity, i.held, i.sold, i.opens_at,"
    " i.closes_at, i.paused, i.line_first, i.version,"
    " (SELECT min(h.expires_at) FROM tickets_reservation h"
    "   WHERE h.ticket_type_id = i.ticket_type_id AND h.state = 'held') AS next_release_at"
    " FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id"
    " WHERE t.event_id = ANY(%(events)s) ORDER BY i.ticket_type_id"
)
# The ticket types of events as `representation.events_next` shows them.
TYPES_LEFT = (
    "SELECT t.event_id, i.capacity - i.held - i.sold AS left, i.held, i.opens_at, i.closes_at, i.paused,"
    " i.line_first, t.price_minor AS ticket_type__price_minor"
    " FROM tickets_inventory i JOIN tickets_tickettype t ON t.id = i.ticket_type_id"
    " WHERE t.event_id = ANY(%(events)s) AND NOT t.hidden"
)

# Reservations as rows that `representation.reservation` shows, with more columns for pages.
_ROWS = (
    "SELECT r.id, r.lead_id, r.buyer_id, r.ticket_type_id, r.quantity, r.unit_price_minor, r.discount_minor,"
    " v.text AS voucher__text, r.currency, r.state, r.created, r.expires_at, r.ended_at, r.idempotency_key,"
    " r.version, t.event_id, t.name AS ticket_type_name, e.name AS event_name, e.date AS event_date,"
    " e.time_zone AS event_time_zone, e.status = 'cancelled' AS event_is_cancelled,"
    " e.calendar_version AS event_calendar_version, r.paying_since, r.validated_at"
    " FROM tickets_reservation r"
    " JOIN tickets_tickettype t ON t.id = r.ticket_type_id JOIN tickets_event e ON e.id = t.event_id"
    " LEFT JOIN tickets_voucher v ON v.id = r.voucher_id"
)
ROWS_SHOWN = (
    f"SELECT {columns(Reservation, of='(s.reservation)')}, s.event_id, s.voucher_text AS voucher__text"  # noqa: S608
    " FROM reservations_shown(%(buyers)s::bigint[], %(since)s, %(validated)s) s"
)
ROWS_OF_BUYER = f"{_ROWS} WHERE r.buyer_id = %(buyer)s ORDER BY r.id DESC LIMIT %(most)s"
ROWS_OF_ORDER = f"{_ROWS} WHERE r.id = %(order)s OR r.lead_id = %(order)s ORDER BY r.id"
ROWS_OF_ORDER_WITH = (
    f"{_ROWS} WHERE r.id = ({ORDER_OF_RESERVATION}) OR r.lead_id = ({ORDER_OF_RESERVATION}) ORDER BY r.id"
)
ROWS_IN_EVENT = (
    f"{_ROWS} WHERE r.buyer_id = %(buyer)s AND t.event_id = %(event)s"
    " AND (r.state IN ('paying', 'validated') OR r.state = 'held' AND r.expires_at > %(now)s) ORDER BY r.id"
)
