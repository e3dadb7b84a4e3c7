"""How the API knows who asks by a token. Sessions are known by DRF's own class."""

from django.utils.translation import gettext_lazy as _
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed

from overlord.accounts import principals
from overlord.accounts.principals import Principal


class TokenAuthentication(authentication.TokenAuthentication):
    """DRF's header and its answers; `request.user` is a Principal, `request.auth` the token's key."""

    def authenticate_credentials(self, key: str) -> tuple[Principal, str]:
        found = principals.of_token(key)
        if found is None:
            raise AuthenticationFailed(_("Invalid token."))
        return found, key
