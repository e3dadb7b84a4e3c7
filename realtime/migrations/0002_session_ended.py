from django.db import migrations

FUNCTION = """
-- Notify the channel `sessions` with the hash of a session that has ended: a log-out, another log-in, or a clean-up
-- deletes its row. A trigger calls it.
CREATE OR REPLACE FUNCTION realtime_session_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('sessions', encode(sha256(convert_to(OLD.session_key, 'UTF8')), 'hex'));
    RETURN NULL;
END
$$;
"""
TRIGGER = """
CREATE TRIGGER session_ended AFTER DELETE ON django_session
    FOR EACH ROW EXECUTE FUNCTION realtime_session_ended();
"""
REVERSE = """
DROP TRIGGER session_ended ON django_session;
DROP FUNCTION realtime_session_ended();
"""


class Migration(migrations.Migration):
    dependencies = [("realtime", "0001_version_sequence"), ("sessions", "0001_initial")]

    operations = [migrations.RunSQL(FUNCTION + TRIGGER, REVERSE)]
