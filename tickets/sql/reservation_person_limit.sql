-- Check the limit per person by e-mail address, and let no guest pay without an address. A trigger calls it when a
-- buyer begins to pay, and when a reservation that is being paid for gets another buyer. Claims do not call it.
--
-- Each person has a lock: two payments of a person at the same time wait for each other, and the second one sees the
-- first. The lock is taken after that of the reservation, and before that of any inventory. A person's first purchase
-- of a type is never refused: its claim has checked the limit, and a limit that was lowered since does not count.
CREATE OR REPLACE FUNCTION reservation_person_limit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    buyer record;
    owned bigint;
    most integer;
BEGIN
    SELECT u.is_guest, accounts_person_key(COALESCE(NULLIF(u.email, ''), u.contact_email)) AS person INTO buyer
      FROM accounts_user u WHERE u.id = NEW.buyer_id;
    IF buyer.person IS NULL AND buyer.is_guest THEN
        RAISE check_violation USING CONSTRAINT = 'reservation_guest_gives_email',
            MESSAGE = 'a guest gives an e-mail address before paying';
    END IF;
    NEW.person_key := buyer.person;
    IF buyer.person IS NULL THEN
        RETURN NEW;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('tickets.person ' || buyer.person, 0));
    SELECT COALESCE(sum(r.quantity), 0) INTO owned FROM tickets_reservation r
     WHERE r.person_key = buyer.person AND r.ticket_type_id = NEW.ticket_type_id
       AND r.state IN ('paying', 'validated') AND r.id <> NEW.id;
    SELECT t.max_per_user INTO most FROM tickets_tickettype t WHERE t.id = NEW.ticket_type_id;
    IF owned > 0 AND owned + NEW.quantity > most THEN
        RAISE check_violation USING CONSTRAINT = 'reservation_within_max_per_person',
            MESSAGE = 'the person would have more tickets of this type than one person may',
            DETAIL = json_build_object('ticket_type', NEW.ticket_type_id, 'max_per_user', most);
    END IF;
    RETURN NEW;
END
$$;
