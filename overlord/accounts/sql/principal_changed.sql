-- Notify the channel `principals` with the id of a user who changed in what a request relies on, or with `all`. Triggers
-- call it: a token is deleted or changed; a user is deleted, or `login_epoch`, `is_active`, `is_staff`, `is_superuser`
-- or `is_guest` changes; a permission is taken from a user, a user from a group, or a permission from a group (`all`).
CREATE OR REPLACE FUNCTION accounts_principal_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('principals', CASE WHEN TG_LEVEL = 'STATEMENT' THEN 'all'
                                         WHEN TG_TABLE_NAME = 'accounts_user' THEN to_jsonb(OLD)->>'id'
                                         ELSE to_jsonb(OLD)->>'user_id' END);
    RETURN NULL;
END
$$;
