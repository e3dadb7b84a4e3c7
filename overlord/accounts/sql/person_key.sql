-- The key of the person who owns an e-mail address, for limits per person: the key of its mailbox.
CREATE OR REPLACE FUNCTION accounts_person_key(p_email text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
SELECT accounts_mailbox_key(accounts_name_key(p_email))
$$;
