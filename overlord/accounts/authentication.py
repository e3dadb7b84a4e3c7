"""Authentication of API requests by token. Sessions use DRF's own class."""

from django.utils.translation import gettext_lazy as _
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed

from overlord.accounts import token_cache
from overlord.accounts.models import ApiToken
from overlord.accounts.token_cache import Principal


class TokenAuthentication(authentication.TokenAuthentication):
    """DRF's authentication with our tokens: `request.user` is a Principal, `request.auth` the hash of the key."""

    def authenticate_credentials(self, key: str) -> tuple[Principal, str]:
        token_hash = ApiToken.hash_of(key)
        found = token_cache.principal_of(token_hash)
        if found is None:
            raise AuthenticationFailed(_("Invalid token."))
        return found, token_hash
