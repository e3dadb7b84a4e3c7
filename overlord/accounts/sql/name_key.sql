-- The key under which usernames and e-mail addresses are compared: NFKC, then case folding. Applied by migration
-- accounts/0003, which carries it as well.
CREATE FUNCTION accounts_name_key(text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN casefold(normalize($1, NFKC) COLLATE pg_catalog.pg_unicode_fast);
