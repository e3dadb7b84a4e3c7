"""The paths of the accounts API."""

from django.urls import path

from overlord.accounts.api import views

urlpatterns = [
    path("register/", views.Register.as_view()),
    path("register/guest/", views.RegisterGuest.as_view()),
    path("register/guest/email/", views.GuestEmail.as_view()),
    path("register/guest/verify/", views.GuestVerify.as_view()),
    path("register/claim/", views.Claim.as_view()),
    path("api-auth/login/", views.Login.as_view()),
    path("api-auth/logout/", views.Logout.as_view()),
    path("api-auth/tokens/", views.Tokens.as_view()),
    path("api-auth/tokens/<id:token_id>/", views.Token.as_view()),
    path("api-auth/logout-all/", views.LogoutAll.as_view(), name="logout_all"),
]
