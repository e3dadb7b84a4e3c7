-- The key of the mailbox that an address leads to, from the key by which addresses are compared (accounts_name_key):
-- without what follows a + before the @, and for Gmail without dots. Null for an empty address.
--
-- An index has it, which PostgreSQL builds without our schema in the path: it calls no function of ours.
CREATE OR REPLACE FUNCTION accounts_mailbox_key(p_key text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
SELECT CASE
    WHEN parts.domain IN ('gmail.com', 'googlemail.com') THEN replace(parts.mailbox, '.', '') || '@gmail.com'
    ELSE NULLIF(parts.mailbox || '@' || parts.domain, '@')
END
FROM (
    SELECT substring(p_key FROM '[^@]*$') AS domain,
           regexp_replace(regexp_replace(p_key, '@[^@]*$', ''), '(.)\+.*$', '\1') AS mailbox
) parts
$$;
