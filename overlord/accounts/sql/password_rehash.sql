-- Replace a password's hash by a newer one of the same password. Sessions and tokens stay valid. When the password has
-- changed since `p_old` was read, nothing happens.
CREATE FUNCTION accounts_password_rehash(p_user bigint, p_old text, p_new text) RETURNS void
LANGUAGE plpgsql SET accounts.password_is_the_same = 'yes' AS $$
BEGIN
    UPDATE accounts_user SET password = p_new WHERE id = p_user AND password = p_old;
END
$$;
