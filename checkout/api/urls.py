"""The paths of the payment API, below `/payment/`."""

from django.urls import path

from checkout.api import views
from overlord.kernel import paths  # noqa: F401  (registers the converter `id`)

urlpatterns = [
    path("payments/", views.PaymentList.as_view()),
    path("payments/<id:payment_id>/", views.PaymentDetail.as_view()),
    path("payments/<id:payment_id>/pay/", views.Pay.as_view()),
    path("payments/<id:payment_id>/refund/", views.Refund.as_view()),
    path("webhooks/<slug:gateway>/", views.Webhook.as_view()),
]
