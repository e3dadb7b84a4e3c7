-- Raise a user's login epoch whenever the password changes, whoever changes it, and never lower it. Sessions, tokens
-- and sockets of an earlier epoch have ended. The first password of a guest ends nothing. A trigger calls it before an
-- update of `password` or `login_epoch`.
CREATE OR REPLACE FUNCTION accounts_login_epoch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.password IS DISTINCT FROM OLD.password AND NEW.login_epoch <= OLD.login_epoch AND NOT OLD.is_guest
       AND current_setting('accounts.password_is_the_same', true) IS DISTINCT FROM 'yes' THEN
        NEW.login_epoch := OLD.login_epoch + 1;
    END IF;
    NEW.login_epoch := GREATEST(NEW.login_epoch, OLD.login_epoch);
    RETURN NEW;
END
$$;
