"""The page that lists the API tokens of a user's account, and the page that ends one of them."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _

from overlord.accounts import selectors, services
from overlord.accounts.selectors import actor_id
from overlord.kernel.methods import allow


@allow("GET")
@login_required
def tokens(request: HttpRequest) -> HttpResponse:
    """List the valid API tokens of the user's account."""
    found = selectors.tokens_of(user_id=actor_id(request), most=selectors.TOKENS_SHOWN)
    return render(request, "accounts/tokens.html", {"tokens": found})


@allow("GET", "POST")
@login_required
def token_end(request: HttpRequest, token_id: int) -> HttpResponse:
    """End one API token of the user's account."""
    if request.method == "POST":
        services.own_token_end(user_id=actor_id(request), number=token_id)
        messages.success(request, _("The program was logged out."))
    return redirect("tokens")
