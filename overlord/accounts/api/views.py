"""The API's views of accounts, guests, log-ins and tokens, for clients (JSON) and for browser forms."""

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import PermissionDenied
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from overlord.accounts import guests, limits, second_factor, second_factor_services, selectors, services
from overlord.accounts.api import serializers
from overlord.accounts.models import User
from overlord.accounts.selectors import actor_id
from overlord.kernel import client_address, clock
from overlord.kernel.origin import is_same_origin
from overlord.kernel.problems import prefers_html
from overlord.kernel.rendering import JSONParser
from overlord.shop import languages

FORMS = (FormParser.media_type, MultiPartParser.media_type)


def is_browser_form(request: Request) -> bool:
    """Return whether a browser sent the request from a form. The answer to a form is a redirect, and not JSON."""
    return (request.content_type or "").lower().startswith(FORMS) and prefers_html(request)


class AnonymousView(APIView):
    """A view for clients that are not logged in. They have no CSRF token yet, so the Origin header is checked."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    parser_classes = (JSONParser, FormParser, MultiPartParser)

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        origin = request.headers.get("Origin")
        if origin is not None and not is_same_origin(
            origin, scheme=request.scheme or "http", host=request.get_host()
        ):
            raise PermissionDenied("Requests from other origins are not allowed here.", code="cross_origin")


class Register(AnonymousView):
    @extend_schema(
        operation_id="register", request=serializers.RegisterInput, responses={201: serializers.Registered}
    )
    def post(self, request: Request) -> Response:
        """Create an account."""
        body = serializers.RegisterInput(data=request.data)
        body.is_valid(raise_exception=True)
        limits.count_signup(address=client_address.of_request(request._request))
        language = languages.of_request(request._request)
        user = services.user_register(**body.validated_data, language=language)
        return Response(_account(user), status=status.HTTP_201_CREATED)


def _account(user: User) -> dict[str, Any]:
    return {"id": user.pk, "username": user.username, "email": user.email}


class RegisterGuest(AnonymousView):
    @extend_schema(operation_id="register_guest", request=None, responses={201: serializers.Guest})
    def post(self, request: Request) -> Response:
        """Create a guest, with a token and a session."""
        with guests.guest_begin(request._request) as (guest, _):
            key = services.token_issue(user=guest, lifetime=settings.TOKEN_LIFETIME, now=clock.now())
        return Response({"id": guest.pk, "token": key}, status=status.HTTP_201_CREATED)


class Claim(APIView):
    parser_classes = (JSONParser, FormParser, MultiPartParser)

    @extend_schema(operation_id="claim", request=serializers.RegisterInput, responses=serializers.Registered)
    def post(self, request: Request) -> Response:
        """Turn a guest into an account. The account keeps the guest's reservations and payments."""
        body = serializers.RegisterInput(data=request.data)
        body.is_valid(raise_exception=True)
        limits.count_signup(address=client_address.of_request(request._request))
        user = services.guest_claim(user_id=actor_id(request), **body.validated_data)
        return Response(_account(user))


class GuestEmail(APIView):
    parser_classes = (JSONParser, FormParser, MultiPartParser)

    @extend_schema(
        operation_id="guest_email", request=serializers.EmailInput, responses={202: serializers.EmailAsked}
    )
    def post(self, request: Request) -> Response:
        """Have a code mailed to my address, as a guest."""
        body = serializers.EmailInput(data=request.data)
        body.is_valid(raise_exception=True)
        asked = services.email_code_request(
            guest_id=actor_id(request),
            email=body.validated_data["email"],
            address=client_address.of_request(request._request),
            now=clock.now(),
        )
        return Response(
            {"email": asked.email, "expires_at": asked.expires_at}, status=status.HTTP_202_ACCEPTED
        )


class GuestVerify(APIView):
    parser_classes = (JSONParser, FormParser, MultiPartParser)

    @extend_schema(
        operation_id="guest_verify", request=serializers.CodeInput, responses=serializers.EmailVerified
    )
    def post(self, request: Request) -> Response:
        """Prove my address by the code that was mailed.

        If a guest proved the same address before, both are one person: the answer then has that guest's id and a
        token.
        """
        body = serializers.CodeInput(data=request.data)
        body.is_valid(raise_exception=True)
        guest_id = actor_id(request)
        owner = guests.email_prove(request._request, guest_id=guest_id, code=body.validated_data["code"])
        key = None
        if owner.pk != guest_id:
            key = services.token_issue(user=owner, lifetime=settings.TOKEN_LIFETIME, now=clock.now())
        return Response({"id": owner.pk, "email": owner.verified_email, "token": key})


class Login(AnonymousView):
    @extend_schema(operation_id="login", request=serializers.LoginInput, responses=serializers.LoggedIn)
    def post(self, request: Request) -> HttpResponseBase:
        """Get a token and a session; a browser form gets the session and is redirected to the reservations.

        If the request comes with the token or the session of a guest, the account gets what the guest has. Staff
        whose actions need the second factor send a `code` of it.
        """
        body = serializers.LoginInput(data=request.data)
        body.is_valid(raise_exception=True)
        guest_id, now = selectors.guest_id_of(request), clock.now()
        code = body.validated_data.pop("code", None)
        user = services.user_identify(request=request._request, **body.validated_data)
        factor = code and second_factor_services.factor_show(user_id=user.pk, code=code, now=now)
        login(request._request, user)
        if factor:
            second_factor.remember(request._request.session, factor=factor, now=now)
        if guest_id is not None:
            guests.guest_logged_in(request._request, guest_id=guest_id, user=user)
        if is_browser_form(request):
            return redirect(settings.LOGIN_REDIRECT_URL)
        key = services.token_issue(
            user=user, lifetime=settings.TOKEN_LIFETIME, now=now, second_factor=bool(factor)
        )
        return Response({"token": key})


class Logout(APIView):
    permission_classes = (AllowAny,)
    parser_classes = (JSONParser, FormParser, MultiPartParser)

    @extend_schema(operation_id="logout", request=None, responses={204: None})
    def post(self, request: Request) -> HttpResponseBase:
        """End the session, or the token in the Authorization header."""
        if isinstance(request.auth, str):
            services.token_end(token_hash=request.auth)
        return _logged_out(request)


class LogoutAll(APIView):
    parser_classes = (JSONParser, FormParser, MultiPartParser)

    @extend_schema(operation_id="logout_all", request=None, responses={204: None})
    def post(self, request: Request) -> HttpResponseBase:
        """End every session, token and socket of the user."""
        services.logins_end(user_id=actor_id(request))
        response = _logged_out(request)
        if is_browser_form(request):
            with languages.spoken(languages.of_request(request._request)):
                messages.success(request._request, _("You are logged out on all devices."))
        return response


class Tokens(APIView):
    @extend_schema(operation_id="tokens", responses=serializers.Token(many=True))
    def get(self, request: Request) -> Response:
        """List my API tokens that work, the newest first, 200 at most. Keys are never shown."""
        found = selectors.tokens_of(user_id=actor_id(request), most=selectors.TOKENS_SHOWN)
        current = request.auth if isinstance(request.auth, str) else ""
        return Response(serializers.Token(found, many=True, context={"current": current}).data)


class Token(APIView):
    @extend_schema(operation_id="token_end", request=None, responses={204: None})
    def delete(self, request: Request, token_id: int) -> Response:
        """End one of my API tokens. It is refused from then on, and its sockets close within a second."""
        services.own_token_end(user_id=actor_id(request), number=token_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


def _logged_out(request: Request) -> HttpResponseBase:
    logout(request._request)
    if is_browser_form(request):
        return redirect(settings.LOGIN_URL)
    return Response(status=status.HTTP_204_NO_CONTENT)
