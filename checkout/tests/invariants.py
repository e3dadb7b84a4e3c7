"""The invariants as questions to the tables: each answers with the rows that break it, so with none.

They are asked of the tables as they are in one snapshot, whoever is at work: by the stateful properties
(machine.py) and by the chaos run (tests/chaos/).
"""

from tickets.tests.vouchers import VOUCHERS_WRONG

FOLLOWS = {  # what a reservation may become (I2)
    "held": {"held", "paying", "expired", "released", "validated"},
    "paying": {"paying", "held", "validated", "expired", "released"},
    "validated": {"validated", "released"},
    "expired": {"expired", "validated"},
    "released": {"released"},
}
COUNTERS_WRONG = """
SELECT i.ticket_type_id, i.capacity, i.held, i.sold, r.held AS really_held, r.sold AS really_sold
  FROM tickets_inventory i, LATERAL (
    SELECT COALESCE(sum(quantity) FILTER (WHERE state IN ('held', 'paying')), 0) AS held,
           COALESCE(sum(quantity) FILTER (WHERE state = 'validated'), 0) AS sold
      FROM tickets_reservation WHERE ticket_type_id = i.ticket_type_id) r
 WHERE (i.held, i.sold) <> (r.held, r.sold) OR i.held + i.sold > i.capacity
"""
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
TICKETS_WRONG = """
SELECT r.id, r.state, r.quantity, t.standing, t.seats FROM tickets_reservation r, LATERAL (
    SELECT count(*) AS standing, count(DISTINCT seat) AS seats FROM admission_ticket
     WHERE reservation_id = r.id AND state <> 'revoked') t
 WHERE (t.standing, t.seats) <> (SELECT n, n FROM (SELECT CASE WHEN r.state = 'validated' AND NOT EXISTS (
        SELECT FROM checkout_payment p
         WHERE p.status = 'REFUNDED' AND p.reservation_id = COALESCE(r.lead_id, r.id))
    THEN r.quantity ELSE 0 END AS n) due)
"""
PROTECTED_WRONG = """
SELECT COALESCE(r.lead, p.reservation_id) AS order_id, r.lead AS paying, p.reservation_id AS in_flight
  FROM (SELECT DISTINCT COALESCE(lead_id, id) AS lead FROM tickets_reservation WHERE state = 'paying') r
  FULL JOIN (SELECT reservation_id FROM checkout_payment WHERE status IN ('PENDING', 'PROCESSING')) p
    ON p.reservation_id = r.lead
 WHERE r.lead IS NULL OR p.reservation_id IS NULL
"""
READINGS = {
    "I1 the counters are the reservations": COUNTERS_WRONG,
    "I1 the uses of a code are its reservations": VOUCHERS_WRONG,
    "I3 what is being paid is kept": PROTECTED_WRONG,
    "I4 nobody is charged twice": CHARGED_TWICE,
    "I4 nobody is paid back too much": PAID_BACK_TOO_MUCH,
    "I4 a success is a charge": SUCCESS_WITHOUT_CHARGE,
    "I9 each paid seat has its ticket": TICKETS_WRONG,
}
