"""The page of the second factor of staff: set it up, enter a code of it, make backup codes."""

from http import HTTPStatus

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from overlord.accounts import one_time_codes, second_factor, selectors
from overlord.accounts import second_factor_services as services
from overlord.accounts.api.serializers import CODE_LENGTH
from overlord.accounts.models import SecondFactor
from overlord.accounts.rules import FactorOutdated
from overlord.accounts.selectors import actor_id
from overlord.kernel import clock, problems
from overlord.kernel.errors import DomainError, NotFound, TooMany
from overlord.kernel.methods import allow
from overlord.shop import error_messages, qr
from overlord.shop.next_page import is_page

OFFER_LENGTH = 300


class CodeForm(forms.Form):
    code = forms.CharField(
        label=_lazy("Code"),
        max_length=CODE_LENGTH,
        help_text=_lazy("Six digits from your authenticator app, or one of your backup codes."),
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "spellcheck": "false"}),
    )


class SetUpForm(forms.Form):
    offer = forms.CharField(max_length=OFFER_LENGTH, widget=forms.HiddenInput)
    code = forms.CharField(
        label=_lazy("Code"),
        max_length=CODE_LENGTH,
        help_text=_lazy("The six digits that the app shows now."),
        widget=forms.TextInput(attrs={"autocomplete": "one-time-code", "inputmode": "numeric"}),
    )


@allow("GET", "POST")
@login_required
def second_factor_page(request: HttpRequest) -> HttpResponse:
    """Ask staff for a code, or let them set up a second factor, or show that they have one."""
    if not request.user.is_staff or not second_factor.is_on():
        raise NotFound()
    factor = selectors.second_factor(user_id=actor_id(request))
    is_shown = second_factor.is_shown(request.session, user_id=actor_id(request), now=clock.now())
    if factor is not None and not is_shown:
        return _ask(request)
    if request.method == "POST" and "renew" in request.POST and factor is not None:
        return _renew(request, factor)
    if factor is None or "new" in request.GET:
        return _set_up(request, factor)
    return _shown(request, factor)


def _ask(request: HttpRequest) -> HttpResponse:
    """Ask for a code. After a right code, redirect to the page that asked for the second factor."""
    form = CodeForm(request.POST if "code" in request.POST else None)
    status: int = HTTPStatus.OK
    if form.is_bound:
        status = HTTPStatus.BAD_REQUEST
        if form.is_valid():
            now = clock.now()
            try:
                factor = services.factor_show(
                    user_id=actor_id(request), code=form.cleaned_data["code"], now=now
                )
            except TooMany:
                raise
            except DomainError as refused:
                form.add_error("code", error_messages.detail_of(refused))
            else:
                second_factor.remember(request.session, factor=factor, now=now)
                return redirect(_next(request) or "second_factor")
    context = {"form": form, "next": _next(request)}
    return render(request, "accounts/second_factor.html", context, status=status)


def _set_up(request: HttpRequest, factor: SecondFactor | None) -> HttpResponse:
    """Offer a secret as a QR code. Set up the second factor when the user has entered a code from this secret."""
    form = SetUpForm(request.POST if "offer" in request.POST else None)
    status: int = HTTPStatus.OK
    if form.is_bound:
        status = HTTPStatus.BAD_REQUEST
        if form.is_valid():
            now = clock.now()
            try:
                made, codes = services.factor_set(
                    user_id=actor_id(request), **form.cleaned_data, replaces=factor, now=now
                )
            except TooMany:
                raise
            except FactorOutdated as refused:
                messages.warning(request, error_messages.detail_of(refused))
                return redirect("second_factor")
            except DomainError as refused:
                form.add_error("code", error_messages.detail_of(refused))
                status = problems.status_of(refused)
            else:
                second_factor.remember(request.session, factor=made, now=now)
                return _codes_page(request, codes)
    return _offer_page(request, form, status=status)


def _offer_page(request: HttpRequest, form: SetUpForm, *, status: int) -> HttpResponse:
    """Show the QR code of a new secret, or of the secret in the form that was sent."""
    user_id = actor_id(request)
    offer = form.data.get("offer", "") if form.is_bound else services.offer_make(user_id=user_id)
    try:
        seed = services.offer_read(offer, user_id=user_id)
    except FactorOutdated:
        return redirect("second_factor")
    if not form.is_bound:
        form = SetUpForm(initial={"offer": offer})
    secret = one_time_codes.secret_of(seed)
    address = one_time_codes.address_of(seed, name=request.user.get_username())
    context = {
        "set_up": form,
        "qr": _qr(address),
        "secret": " ".join(secret[at : at + 4] for at in range(0, len(secret), 4)),
        "next": _next(request),
    }
    return render(request, "accounts/second_factor.html", context, status=status)


def _qr(address: str) -> str:
    title = _("QR code for the authenticator app")
    return mark_safe(qr.svg(qr.modules(address), title=title))  # noqa: S308  (our own drawing)


def _renew(request: HttpRequest, factor: SecondFactor) -> HttpResponse:
    """Make new backup codes."""
    try:
        codes = services.backup_codes_make(user_id=actor_id(request), factor=factor, now=clock.now())
    except FactorOutdated as refused:
        messages.warning(request, error_messages.detail_of(refused))
        return redirect("second_factor")
    return _codes_page(request, codes)


def _codes_page(request: HttpRequest, codes: list[str]) -> HttpResponse:
    context = {"codes": codes, "next": _next(request)}
    return render(request, "accounts/second_factor.html", context)


def _shown(request: HttpRequest, factor: SecondFactor) -> HttpResponse:
    if after := _next(request):
        return redirect(after)
    left = selectors.backup_codes_left(user_id=factor.pk)
    return render(request, "accounts/second_factor.html", {"factor": factor, "left": left})


def _next(request: HttpRequest) -> str:
    """Return the address of the page that asked for the second factor, if it is one of our pages; else ""."""
    address = request.POST.get("next", request.GET.get("next", ""))
    is_ours = url_has_allowed_host_and_scheme(
        address, {request.get_host()}, require_https=request.is_secure()
    )
    return address if is_ours and is_page(address) else ""
