"""The SQL statements of mailings, for steps in which SQL is clearer or quicker than the ORM."""

# The hash of an address, for tables that must not have the address itself.
ADDRESS_HASH = "SELECT encode(sha256(convert_to(accounts_name_key(%s), 'UTF8')), 'hex') AS hash"

# Each address of a message, with its person, once for each ticket. The same address can be that of a buyer, and
# that of a person to whom a ticket was handed over. The statements below choose the lower rank: the buyer.
_EACH = """
SELECT who.address, who.person_id, who.language, who.rank
  FROM (SELECT COALESCE(NULLIF(u.email, ''), u.contact_email) AS address, u.id AS person_id, u.language, 0 AS rank
          FROM admission_ticket t
          JOIN tickets_reservation r ON r.id = t.reservation_id
          JOIN accounts_user u ON u.id = r.buyer_id
         WHERE t.event_id = %(event)s AND t.state = ANY(%(states)s)
           AND (%(ticket_type)s::bigint IS NULL OR r.ticket_type_id = %(ticket_type)s)
         UNION ALL
        SELECT t.handed_to, NULL::bigint, u.language, 1
          FROM admission_ticket t
          JOIN tickets_reservation r ON r.id = t.reservation_id
          JOIN accounts_user u ON u.id = r.buyer_id
         WHERE %(with_holders)s AND t.event_id = %(event)s AND t.state = ANY(%(states)s) AND t.handed_to <> ''
           AND (%(ticket_type)s::bigint IS NULL OR r.ticket_type_id = %(ticket_type)s)) who
 WHERE who.address <> '' AND who.address NOT LIKE '%%@erased.invalid'
   AND NOT (%(is_news)s AND EXISTS (
           SELECT FROM mailings_unsubscription n
            WHERE n.address_hash = encode(sha256(convert_to(accounts_name_key(who.address), 'UTF8')), 'hex')))
"""
# The recipients of a message: each address once.
_WHO = f"""
SELECT DISTINCT ON (accounts_name_key(each.address)) each.address, each.person_id, each.language FROM ({_EACH}) each
 ORDER BY accounts_name_key(each.address), each.rank, each.person_id
"""  # noqa: S608
# The new owner of a mail to an address, when its owner is erased: the first of `users` whom the message is for, or
# else the person to whom a ticket was handed over.
NEXT_OWNER = f"""
SELECT each.person_id, each.language FROM ({_EACH}) each
 WHERE accounts_name_key(each.address) = accounts_name_key(%(address)s)
   AND (each.person_id IS NULL OR each.person_id = ANY(%(users)s))
 ORDER BY each.rank, each.person_id LIMIT 1
"""  # noqa: S608
COUNT = f"SELECT count(*) AS count FROM ({_WHO}) found"  # noqa: S608
# One statement copies all recipients, so that this process needs no memory for them.
COLLECT = f"""
INSERT INTO mailings_recipient (mailing_id, address, person_id, language, next_look_at)
SELECT %(mailing)s, found.address, found.person_id, found.language, %(now)s FROM ({_WHO}) found
"""  # noqa: S608

# The limit per minute. Claims wait for each other by this lock, so that each one counts all earlier claims. A claim
# in the future is not counted: if the clock was set back, such claims would stop all messages until then.
PACE_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('mailings pace', 0))"
PACE = """
SELECT count(*) AS last_minute, count(*) FILTER (WHERE claimed_at > %(now)s - %(tick)s) AS last_tick
  FROM mailings_recipient WHERE claimed_at > %(now)s - %(minute)s AND claimed_at < %(now)s + %(tick)s
"""
CLAIM = """
UPDATE mailings_recipient SET attempts = attempts + 1, claimed_at = %(now)s, next_look_at = %(now)s + %(lease)s
 WHERE id = (SELECT due.id FROM mailings_recipient due WHERE due.next_look_at <= %(now)s
              ORDER BY due.next_look_at, due.id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
RETURNING id
"""
FINISH = """
UPDATE mailings_mailing m
   SET finished_at = %(now)s,
       sent = (SELECT count(*) FROM mailings_recipient r WHERE r.mailing_id = m.id AND r.sent_at IS NOT NULL)
 WHERE m.finished_at IS NULL
   AND NOT EXISTS (SELECT FROM mailings_recipient r WHERE r.mailing_id = m.id AND r.next_look_at IS NOT NULL)
"""
