-- The key of the person whom an e-mail address reaches, for limits per person: the address as usernames and addresses
-- are compared, without what follows a + before the @, and for Gmail without dots. Null for an empty address.
CREATE OR REPLACE FUNCTION accounts_person_key(p_email text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
SELECT CASE
    WHEN parts.domain IN ('gmail.com', 'googlemail.com') THEN replace(parts.mailbox, '.', '') || '@gmail.com'
    ELSE NULLIF(parts.mailbox || '@' || parts.domain, '@')
END
FROM (
    SELECT substring(accounts_name_key(p_email) FROM '[^@]*$') AS domain,
           regexp_replace(regexp_replace(accounts_name_key(p_email), '@[^@]*$', ''), '(.)\+.*$', '\1') AS mailbox
) parts
$$;
