"""Register, log in, log out: for API clients (JSON) and for browser forms."""

from django.conf import settings
from django.contrib.auth import login, logout
from django.http import HttpResponseBase
from django.shortcuts import redirect
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.exceptions import PermissionDenied
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from overlord.accounts import services
from overlord.accounts.api import serializers
from overlord.kernel.origin import is_same_origin
from overlord.kernel.problems import prefers_html
from overlord.kernel.rendering import JSONParser


def is_browser_form(request: Request) -> bool:
    """Will say whether a person submitted a form, who wants a page and not JSON."""
    return not (request.content_type or "").endswith("json") and prefers_html(request)


class DoorView(APIView):
    """Open to whoever is not logged in. No CSRF token is at hand yet, so the Origin is what is checked."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    parser_classes = (JSONParser, FormParser, MultiPartParser)

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        super().initial(request, *args, **kwargs)
        origin = request.headers.get("Origin")
        if origin is not None and not is_same_origin(
            origin, scheme=request.scheme or "http", host=request.get_host()
        ):
            raise PermissionDenied("This must be asked from our own pages.", code="cross_origin")


class Register(DoorView):
    @extend_schema(
        operation_id="register", request=serializers.RegisterInput, responses={201: serializers.Registered}
    )
    def post(self, request: Request) -> Response:
        """Make an account."""
        body = serializers.RegisterInput(data=request.data)
        body.is_valid(raise_exception=True)
        user = services.user_register(**body.validated_data)
        made = {"id": user.pk, "username": user.username, "email": user.email}
        return Response(made, status=status.HTTP_201_CREATED)


class Login(DoorView):
    @extend_schema(operation_id="login", request=serializers.LoginInput, responses=serializers.LoggedIn)
    def post(self, request: Request) -> HttpResponseBase:
        """Get a token and a session; a browser form gets the session and goes to the reservations."""
        body = serializers.LoginInput(data=request.data)
        body.is_valid(raise_exception=True)
        user = services.user_identify(**body.validated_data)
        login(request._request, user)
        if is_browser_form(request):
            return redirect(settings.LOGIN_REDIRECT_URL)
        return Response({"token": services.token_issue(user=user)})


class Logout(APIView):
    permission_classes = (AllowAny,)
    parser_classes = (JSONParser, FormParser, MultiPartParser)

    @extend_schema(operation_id="logout", request=None, responses={204: None})
    def post(self, request: Request) -> HttpResponseBase:
        """End the session, or the token that was sent."""
        if isinstance(request.auth, str):
            services.token_withdraw(key=request.auth)
        logout(request._request)
        if is_browser_form(request):
            return redirect(settings.LOGIN_URL)
        return Response(status=status.HTTP_204_NO_CONTENT)
