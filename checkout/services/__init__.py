"""Use cases of paying, by subject: the only place of this app where a transaction opens.

No gateway is asked while a transaction is open. Only PostgreSQL's clock decides what is due; a transaction reads
this clock after it has locked its rows.
"""

from checkout.services.cancellations import cancellation_retry, cancellations_go_on, event_cancel
from checkout.services.counter import CounterSold, counter_refusals, counter_sell
from checkout.services.guests import order_follow, orders_follow
from checkout.services.incidents import incidents_close
from checkout.services.mails import mails_send
from checkout.services.orders import address_change, hold_release, note_add, receipt_resend
from checkout.services.payments import payment_create, payment_pay, payment_remove, reservation_pay
from checkout.services.personal_data import (
    Kept,
    Unfinished,
    guests_forget,
    person_erase,
    person_export,
    person_kept,
    register_eraser,
)
from checkout.services.processing import look_after, payment_process
from checkout.services.reconciliation import (
    charges_reconcile,
    unmatched_charge_refund,
    unmatched_charges_close,
    unmatched_charges_refund_request,
)
from checkout.services.refunds import (
    refund_look_again,
    refund_process,
    refund_request,
    refund_retry,
    refund_settle_elsewhere,
    refunds_compare,
)
from checkout.services.returns import reservation_return
from checkout.services.webhooks import webhook_take

__all__ = [
    "CounterSold",
    "Kept",
    "Unfinished",
    "address_change",
    "cancellation_retry",
    "cancellations_go_on",
    "charges_reconcile",
    "counter_refusals",
    "counter_sell",
    "event_cancel",
    "guests_forget",
    "hold_release",
    "incidents_close",
    "look_after",
    "mails_send",
    "note_add",
    "order_follow",
    "orders_follow",
    "payment_create",
    "payment_pay",
    "payment_process",
    "payment_remove",
    "person_erase",
    "person_export",
    "person_kept",
    "receipt_resend",
    "refund_look_again",
    "refund_process",
    "refund_request",
    "refund_retry",
    "refund_settle_elsewhere",
    "refunds_compare",
    "register_eraser",
    "reservation_pay",
    "reservation_return",
    "unmatched_charge_refund",
    "unmatched_charges_close",
    "unmatched_charges_refund_request",
    "webhook_take",
]
