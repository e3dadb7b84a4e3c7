-- Return a new random serial: 10 of 32 characters that people do not confuse.
CREATE OR REPLACE FUNCTION admission_serial() RETURNS text LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    -- All its bits are random but those of its version and its variant, which stand in bytes 6 and 8.
    drawn bytea := uuid_send(gen_random_uuid());
    serial text := '';
    i integer;
BEGIN
    FOREACH i IN ARRAY ARRAY[0, 1, 2, 3, 4, 5, 10, 11, 12, 13] LOOP
        serial := serial || substr('23456789ABCDEFGHJKLMNPQRSTUVWXYZ', 1 + get_byte(drawn, i) % 32, 1);
    END LOOP;
    RETURN serial;
END
$$;
