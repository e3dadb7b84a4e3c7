"""Who buys and who staffs the box office."""

from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.contrib.auth.models import UserManager as DjangoUserManager
from django.db import models
from django.db.models.functions import Lower


class UserManager(DjangoUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> "User":
        """Will find the user of that name, whatever its case: two that differ in case cannot both exist."""
        return self.get(username__iexact=username)


class User(AbstractUser):
    """Ours from the first migration, so that it can grow. Names and addresses are unique whatever their case."""

    email = models.EmailField("e-mail address")

    objects: ClassVar[UserManager] = UserManager()

    class Meta:
        constraints = [
            models.UniqueConstraint(Lower("email"), name="user_unique_email"),
            models.UniqueConstraint(Lower("username"), name="user_unique_username"),
        ]
