"""Every HTTP path. Routes end with a slash here and are served without it too (`kernel.slashes`)."""

from django.contrib import admin
from django.urls import include, path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerView

from overlord import health

urlpatterns = [
    path("", include("overlord.accounts.api.urls")),
    path("event/", include("tickets.api.urls")),
    path("payment/", include("checkout.api.urls")),
    path("stats/", include("stats.api.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("api/docs/", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("admin/", admin.site.urls),
    path("livez/", health.livez),
    path("readyz/", health.readyz),
]

handler404 = "overlord.kernel.problems.not_found"
handler500 = "overlord.kernel.problems.server_error"
