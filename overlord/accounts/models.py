"""The accounts of buyers and staff."""

from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.models import UserManager as DjangoUserManager
from django.db import models
from django.db.models.functions import Lower


class UserManager(DjangoUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> "User":
        """Find the user by name, ignoring case: two names that differ only in case cannot both exist."""
        return self.get(username__iexact=username)


class User(AbstractUser):
    """One account. Usernames and e-mail addresses are unique, ignoring case."""

    email = models.EmailField("e-mail address")

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("email"), name="user_unique_email"),
            models.UniqueConstraint(Lower("username"), name="user_unique_username"),
        ]
