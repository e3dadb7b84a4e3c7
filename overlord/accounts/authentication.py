"""Authentication of API requests by token. Sessions are DRF's own class."""

from django.utils.translation import gettext_lazy as _
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed

from overlord.accounts import token_cache
from overlord.accounts.token_cache import Principal


class TokenAuthentication(authentication.TokenAuthentication):
    """DRF's header and answers; `request.user` is a Principal, `request.auth` is the token's key."""

    def authenticate_credentials(self, key: str) -> tuple[Principal, str]:
        found = token_cache.principal_of(key)
        if found is None:
            raise AuthenticationFailed(_("Invalid token."))
        return found, key
