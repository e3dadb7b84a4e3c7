"""The models of accounts: users and guests, API tokens, invitations of staff, second factors, and mailed codes."""

import hashlib
from collections.abc import Collection
from typing import Any, ClassVar

from django.contrib.auth.hashers import check_password, make_password
from django.contrib.auth.models import AbstractUser, Group
from django.contrib.auth.models import UserManager as DjangoUserManager
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models.functions import NullIf
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from overlord.accounts.passwords import refuse_too_long
from overlord.kernel import db
from overlord.kernel.texts import PERSON_NAME_LENGTH, name_key


class NameKey(models.Func):
    """The key under which usernames and e-mail addresses are compared: NFKC, then case folding (migration 0003)."""

    function = "accounts_name_key"
    arity = 1
    output_field = models.TextField()


class MailboxKey(models.Func):
    """The key of the mailbox to which an e-mail address leads (sql/mailbox_key.sql).

    All spellings of an address have the same key. The argument is the NameKey of the address.
    """

    function = "accounts_mailbox_key"
    arity = 1
    output_field = models.TextField()


class UserManager(DjangoUserManager["User"]):
    def get_by_natural_key(self, username: str | None) -> "User":
        """Return the user with this username or e-mail address; raise DoesNotExist.

        Every log-in calls this, in the API, on the pages and in the admin. If the name is the username of one
        account and the e-mail address of another, return the account with the address: only its owner can receive
        mail there.
        """
        if not username:
            raise self.model.DoesNotExist
        key = NameKey(models.Value(username))
        found = self.filter(models.Q(username_key=key) | models.Q(email_key=key)).annotate(
            by_email=models.Q(email_key=key)
        )
        user = found.order_by(models.F("by_email").desc(nulls_last=True)).first()
        if user is None:
            raise self.model.DoesNotExist
        return user

    def create_superuser(
        self, username: str, email: str | None = None, password: str | None = None, **extra_fields: Any
    ) -> "User":
        """Create a superuser; raise ValidationError, which `manage.py createsuperuser` shows."""
        refuse_too_long(password)
        user = self.model(username=username, email=self.normalize_email(email))
        user.clean_names()
        return super().create_superuser(user.username, user.email, password, **extra_fields)


class User(AbstractUser):
    """An account or a guest. No two users have the same username, or the same `email` if it is not empty.

    The database compares usernames and e-mail addresses by their NameKey.
    """

    email = models.EmailField("e-mail address")
    username_key = models.GeneratedField(
        expression=NameKey("username"), output_field=models.TextField(), db_persist=True
    )
    email_key = models.GeneratedField(
        expression=NullIf(NameKey("email"), models.Value("", output_field=models.TextField())),
        output_field=models.TextField(null=True),
        db_persist=True,
    )

    # A guest has no `email`, no password, and a generated username.
    is_guest = models.BooleanField("guest", default=False, db_default=False, editable=False)
    # The address to which a guest's tickets are mailed, and the guest's name. Several guests may have the same
    # address, because nobody logs in by it.
    contact_email = models.EmailField("e-mail address of a guest", blank=True, default="", db_default="")
    contact_name = models.CharField(
        "name", max_length=PERSON_NAME_LENGTH, blank=True, default="", db_default=""
    )
    contact_by_staff = models.BooleanField(
        default=False,
        db_default=False,
        editable=False,
        help_text="Whether staff entered the address of a guest after the guest had bought.",
    )
    # The e-mail address that a guest has proven with a mailed code. Only then can the guest enter a line.
    verified_email = models.EmailField(blank=True, default="", db_default="", editable=False)
    # The language of the mails to this user: the language of the page on which the user last logged in, paid or
    # chose a language. Before the first of these, it is the language of the request that made the user. "":
    # unknown.
    language = models.CharField(max_length=10, blank=True, default="", db_default="", editable=False)
    # The epoch rises with each new password, and when something ends all log-ins of the user, such as `logins_end`.
    # Sessions, tokens and sockets of an earlier epoch have ended.
    login_epoch = models.PositiveIntegerField(default=0, db_default=0, editable=False)

    objects: ClassVar[UserManager] = UserManager()
    _saves_password_alone = False

    class Meta:
        permissions = [
            ("manage_staff", "Can invite staff, change their roles and end their access"),
            ("handle_personal_data", "Can export and erase the data of a person"),
        ]
        indexes = [
            models.Index(
                MailboxKey(
                    NameKey(
                        models.Case(
                            models.When(is_guest=True, then="verified_email"),
                            default="email",
                            output_field=models.TextField(),
                        )
                    )
                ),
                name="user_person",
            ),
            models.Index(
                NameKey("contact_email"), condition=~models.Q(contact_email=""), name="user_contact_email"
            ),
            models.Index(
                NameKey("verified_email"), condition=~models.Q(verified_email=""), name="user_verified_email"
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["username_key"], name="user_unique_username"),
            models.UniqueConstraint(fields=["email_key"], name="user_unique_email"),
            models.UniqueConstraint(
                NameKey("verified_email"),
                condition=models.Q(is_guest=True) & ~models.Q(verified_email=""),
                name="user_unique_verified_email",
            ),
            models.CheckConstraint(
                condition=models.Q(is_guest=False) | models.Q(is_staff=False, is_superuser=False),
                name="user_guest_is_not_staff",
                violation_error_message="A guest cannot be staff.",
            ),
        ]

    def clean(self) -> None:
        """Normalise and check the username and the e-mail address. The admin's forms call this.

        Normalised names can be longer, so their length is checked again.
        """
        super().clean()
        self.clean_names()

    def clean_names(self) -> None:
        """Normalise username and e-mail address; raise ValidationError, by field, if one is bad or taken."""
        self.username = self.normalize_username(self.username)
        self.clean_fields(exclude=_all_fields_but({"username", "email"}))
        is_new = self._state.adding or self.is_guest
        if is_new and "@" in self.username and self.username.casefold() != self.email.casefold():
            raise ValidationError({"username": _("A username with @ must be your own e-mail address.")})
        taken = {}
        others = User.objects.exclude(pk=self.pk)
        if others.filter(username_key=NameKey(models.Value(self.username))).exists():
            taken["username"] = TAKEN["username"]
        if others.filter(email_key=NameKey(models.Value(self.email))).exists():
            taken["email"] = TAKEN["email"]
        if taken:
            raise ValidationError(taken)

    @property
    def mail_address(self) -> str:
        """Return the address for mails to this user: an account's `email`, a guest's contact address, or ""."""
        return self.email or self.contact_email

    @property
    def known_contact(self) -> dict[str, str]:
        """Return the contact address (`email`) and the `name` that a page may show to the guest.

        Both are "" if staff have entered the address, and the guest has not proven it: the address may belong to
        another person, and the guest must not see it.
        """
        if self.contact_by_staff and name_key(self.contact_email) != name_key(self.verified_email):
            return {"email": "", "name": ""}
        return {"email": self.contact_email, "name": self.contact_name}

    @property
    def addresses(self) -> set[str]:
        """Return all e-mail addresses of this user: a guest may have proven one and given another."""
        return {self.email, self.contact_email, self.verified_email} - {""}

    @property
    def shown_name(self) -> str:
        """Return the name by which mails greet this user; "" for a guest who gave no name."""
        return self.contact_name or ("" if self.is_guest else self.username)

    def set_password(self, raw_password: str | None) -> None:
        """Set the password; raise ValidationError if it is longer than the log-in accepts."""
        refuse_too_long(raw_password)
        super().set_password(raw_password)
        self._password_is_set()

    def set_unusable_password(self) -> None:
        super().set_unusable_password()
        self._password_is_set()

    def _password_is_set(self) -> None:
        self.login_epoch += 1  # the database does the same when the user is saved
        self._saves_password_alone = not self._state.adding

    def save(self, *args: Any, **options: Any) -> None:
        """Save the user. If the password of an existing user was set, write only the password and the login epoch.

        Django's forms and commands for passwords would write all fields as they read them. That would undo a change
        that was made meanwhile, for example the end of somebody's access, or an erasure.
        """
        if self._saves_password_alone and options.get("update_fields") is None:
            options["update_fields"] = ["password", "login_epoch"]
        super().save(*args, **options)
        self._saves_password_alone = False

    def check_password(self, raw_password: str | None) -> bool:
        """Return whether the password is right, and replace an outdated hash of it.

        A new hash of the same password ends no session and no token.
        """

        def rehash(password: str) -> None:
            outdated, self.password = self.password, make_password(password)
            db.rows("SELECT accounts_password_rehash(%s, %s, %s)", [self.pk, outdated, self.password])

        return check_password(raw_password, self.password, rehash)

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """Return the hash that a session keeps: it changes with the login epoch, not with the password's hash."""
        value = f"{self.pk}:{self.login_epoch}"
        return salted_hmac("accounts.login_epoch", value, secret=secret, algorithm="sha256").hexdigest()


class ApiToken(models.Model):
    """The API token of one log-in. Its key is random; the row has only the SHA-256 of the key."""

    key_hash = models.CharField(max_length=64, primary_key=True)
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    login_epoch = models.PositiveIntegerField()
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    # When the token was last used. A use is recorded only if the token is ten minutes old, and if no other use was
    # recorded in the last ten minutes (`token_cache`). Null: no use was recorded.
    last_used_at = models.DateTimeField(null=True)
    second_factor = models.BooleanField(
        default=False, db_default=False, help_text="Whether the person logged in with the second factor."
    )

    def __str__(self) -> str:
        return f"a token of {self.user_id}"

    @property
    def number(self) -> int:
        """Return the token's id in the API and on pages: the first 52 bits of the hash."""
        return int(self.key_hash[:13], 16)

    @staticmethod
    def hash_of(key: str) -> str:
        """Return the hash of a key: its token's primary key. A quick hash is enough, because keys are random."""
        return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()

    @classmethod
    def hash_in(cls, header: bytes) -> str | None:
        """Return the hash of the token in an Authorization header; None if the header has another scheme or none.

        Return "" if no key follows the scheme, or more than one. DRF's TokenAuthentication accepts the same
        headers.
        """
        scheme, *keys = header.split() or [b""]
        if scheme.lower() != b"token":
            return None
        return cls.hash_of(keys[0].decode("utf-8", "replace")) if len(keys) == 1 else ""


class StaffInvitation(models.Model):
    """An invitation to join the staff, sent by e-mail. Its signed link contains its id and its issue (`links`)."""

    email = models.EmailField("e-mail address")
    email_key = models.GeneratedField(
        expression=NameKey("email"), output_field=models.TextField(), db_persist=True
    )
    role = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="+")
    invited_by = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    issue = models.PositiveIntegerField(default=1, help_text="Rises with each mail; earlier links end.")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, help_text="When the mail of this issue went out.")
    accepted_at = models.DateTimeField(null=True)
    accepted_by = models.ForeignKey(User, null=True, on_delete=models.CASCADE, related_name="+")
    withdrawn_at = models.DateTimeField(null=True)

    OPEN = models.Q(accepted_at=None, withdrawn_at=None)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["email_key"],
                condition=models.Q(accepted_at=None, withdrawn_at=None),
                name="staff_invitation_one_open",
            ),
            models.CheckConstraint(
                condition=models.Q(accepted_at=None, accepted_by=None)
                | models.Q(accepted_at__isnull=False, accepted_by__isnull=False, withdrawn_at=None),
                name="staff_invitation_ends_once",
            ),
        ]

    def __str__(self) -> str:
        return f"invitation {self.pk}"


class SecondFactor(models.Model):
    """The authenticator app of one of the staff. Its secret follows from `seed` and SECRET_KEY, and is not kept."""

    user = models.OneToOneField(
        User, on_delete=models.CASCADE, primary_key=True, related_name="second_factor"
    )
    seed = models.CharField(max_length=64)
    last_step = models.BigIntegerField(
        help_text="Half minute of the last code; the same or an earlier one is not taken."
    )
    made_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"the second factor of {self.user_id}"


class BackupCode(models.Model):
    """A code that can be used one time instead of a code of the app. Only a keyed hash of it is kept."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="backup_codes")
    code_hash = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "code_hash"], name="backup_code_unique"),
        ]

    def __str__(self) -> str:
        return f"a backup code of {self.user_id}"


class EmailCode(models.Model):
    """The code by which a guest proves an e-mail address. Only the guest's newest code is valid, and only one time.

    The code follows from the row and the secret key, so that neither the database nor a message to a worker has it.
    """

    DIGITS = 6

    user = models.OneToOneField(User, primary_key=True, on_delete=models.CASCADE, related_name="+")
    email = models.EmailField()
    nonce = models.CharField(max_length=32)
    tries = models.PositiveSmallIntegerField(default=0)
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"a code of {self.user_id}"

    @property
    def code(self) -> str:
        """Return the six digits that are mailed."""
        value = f"{self.user_id}:{self.email}:{self.nonce}"
        mac = salted_hmac("accounts.email_code", value, algorithm="sha256").hexdigest()
        return f"{int(mac, 16) % 10**self.DIGITS:0{self.DIGITS}d}"


TAKEN = {
    "username": _("This username is taken."),
    "email": _("There is already an account with this e-mail address."),
}


def _all_fields_but(names: Collection[str]) -> set[str]:
    return {field.name for field in User._meta.fields if field.name not in names}
