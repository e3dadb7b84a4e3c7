-- Notify the channel `sessions` with the hash of a session that has ended: a log-out, another log-in, or a clean-up
-- deletes its row. A trigger calls it.
CREATE OR REPLACE FUNCTION realtime_session_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('sessions', encode(sha256(convert_to(OLD.session_key, 'UTF8')), 'hex'));
    RETURN NULL;
END
$$;
