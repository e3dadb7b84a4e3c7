"""The check of username and password in the API, the pages and the admin: first a limit, then Django's check."""

from typing import Any

from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest

from overlord.accounts import limits, selectors
from overlord.accounts.models import User
from overlord.kernel import client_address


class AccountBackend(ModelBackend):
    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **kwargs: Any,
    ) -> User | None:
        """Return the active user with this username or e-mail address, and this password; else None.

        Raise TooMany when a limit is reached, before the password is hashed. A command has no request (None), and
        no limit.
        """
        if username and password and request is not None:
            account = selectors.account_key(username=username)
            limits.count_login(address=client_address.of_request(request), account=account)
        user = super().authenticate(request, username=username, password=password, **kwargs)
        return user if isinstance(user, User) else None
