"""The invariants as queries on the tables: each returns the rows that break it, so none if it holds.

They run in one snapshot, also while others change rows: in the stateful properties (machine.py) and in the chaos
run (tests/chaos/).
"""

from stats.sql import COUNTERS_WRONG, PAYING_WRONG, TICKETS_WRONG
from tickets.tests.vouchers import VOUCHERS_WRONG

FOLLOWS = {  # what a reservation may become (I2)
    "held": {"held", "paying", "expired", "released", "validated"},
    "paying": {"paying", "held", "validated", "expired", "released"},
    "validated": {"validated", "released"},
    "expired": {"expired", "validated"},
    "released": {"released"},
}
CHARGED_TWICE = """
SELECT i.payment FROM sandbox.intents i JOIN checkout_payment p ON p.id = i.payment
 WHERE i.outcome = 'succeeded' GROUP BY i.payment HAVING count(*) > 1
"""
PAID_BACK_TOO_MUCH = """
SELECT i.id, i.amount, sum(r.amount) AS paid_back FROM sandbox.intents i JOIN sandbox.refunds r ON r.intent = i.id
 GROUP BY i.id HAVING sum(r.amount) > i.amount
 UNION ALL
SELECT i.id, p.refunded_minor, sum(r.amount) FROM checkout_payment p
  JOIN sandbox.intents i ON i.id = p.gateway_reference JOIN sandbox.refunds r ON r.intent = i.id
 GROUP BY i.id, p.id, p.refunded_minor HAVING sum(r.amount) > p.refunded_minor
"""
SUCCESS_WITHOUT_CHARGE = """
SELECT p.id, p.status, i.outcome, i.amount FROM checkout_payment p
  LEFT JOIN sandbox.intents i ON i.id = p.gateway_reference
 WHERE p.status IN ('SUCCESS', 'REFUNDING', 'REFUNDED') AND p.amount_minor > 0
   AND (i.outcome, i.amount) IS DISTINCT FROM ('succeeded', p.amount_minor)
"""
READINGS = {
    "I1 the counters are the reservations": COUNTERS_WRONG,
    "I1 the uses of a code are its reservations": VOUCHERS_WRONG,
    "I3 what is being paid is kept": PAYING_WRONG,
    "I4 nobody is charged twice": CHARGED_TWICE,
    "I4 nobody is paid back too much": PAID_BACK_TOO_MUCH,
    "I4 a success is a charge": SUCCESS_WITHOUT_CHARGE,
    "I9 each paid seat has its ticket": TICKETS_WRONG,
}
# The ledger stays when the tables of a test are emptied, also where a test made it wrong on purpose.
EMPTY_LEDGER = """
DELETE FROM sandbox.requests; DELETE FROM sandbox.events; DELETE FROM sandbox.refunds; DELETE FROM sandbox.intents
"""
STATES = "SELECT 'states', jsonb_object_agg(id, state) FROM tickets_reservation"


def snapshot_prepare() -> str:
    """Return the statement that prepares `snapshot`: all readings, and the states (I2). A session plans it once."""
    broken = "SELECT '{}' AS reading, to_jsonb(broken) AS found FROM ({}) broken"
    return "PREPARE snapshot AS " + " UNION ALL ".join(
        [*(broken.format(name, asked) for name, asked in READINGS.items()), STATES]
    )
