-- Notify the channel `principals` with the id of a user who changed in what a request relies on. Three triggers call
-- it: a token is deleted or changed, a user is deleted, a user's `login_epoch`, `is_active`, `is_staff` or `is_guest` changes.
CREATE OR REPLACE FUNCTION accounts_principal_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('principals', CASE TG_TABLE_NAME WHEN 'accounts_apitoken' THEN to_jsonb(OLD)->>'user_id'
                                                       ELSE to_jsonb(OLD)->>'id' END);
    RETURN NULL;
END
$$;
