"""The page of the link in a mail with news: stop news, or get news again. Anyone who has the link may do this."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.csrf import csrf_exempt

from overlord.kernel.errors import NotFound
from overlord.kernel.methods import allow
from overlord.mailings import links, selectors, services


@csrf_exempt  # RFC 8058: a mail program sends the POST itself, without a page and its token
@allow("GET", "POST")
def news(request: HttpRequest, signed: str) -> HttpResponse:
    """Ask whether to stop news. A POST stops them, or with `news=yes` resumes them.

    A GET changes nothing, because mail servers open links.
    """
    try:
        address_hash = links.link_read(signed)
    except links.NotALink:
        raise NotFound() from None
    if request.method == "POST":
        change = services.news_resume if request.POST.get("news") == "yes" else services.news_stop
        change(address_hash=address_hash)
        if "List-Unsubscribe" not in request.POST:  # mail programs follow no redirection
            return redirect("news", signed)
    is_stopped = selectors.is_unsubscribed(address_hash=address_hash)
    response = render(request, "mailings/news.html", {"is_stopped": is_stopped})
    response["Cache-Control"] = "no-store, private"
    response["X-Robots-Tag"] = "noindex"
    return response
