"""The limits of log-ins, sign-ups, new guests, codes, invitations, and requests for a new password.

Requests are counted by network address, and by account, mailbox or member of staff.

Many people may share a network address, for example in a school. So the limits of an address are high, and those
of an account low. Requests with a name that has no account are counted by this name. So an answer does not tell
whether an account exists.
"""

from overlord.kernel import rate_limits
from overlord.kernel.rate_limits import Limit

LOGIN_BY_ADDRESS = Limit(name="login-address", amount=60, seconds=60)
LOGIN_BY_ACCOUNT = Limit(name="login-account", amount=10, seconds=300)
SIGNUP_BY_ADDRESS = Limit(name="signup-address", amount=60, seconds=600)
GUEST_BY_ADDRESS = Limit(name="guest-address", amount=120, seconds=600)
RESET_BY_ADDRESS = Limit(name="reset-address", amount=30, seconds=3600)
RESET_BY_ACCOUNT = Limit(name="reset-account", amount=3, seconds=3600)
# Mailed codes, with which guests prove an e-mail address.
EMAIL_CODE_BY_ADDRESS = Limit(name="code-address", amount=120, seconds=600)
EMAIL_CODE_BY_MAILBOX = Limit(name="code-mailbox", amount=5, seconds=3600)
# Codes of the second factor.
CODE_BY_ACCOUNT = Limit(name="code-account", amount=5, seconds=300)
CODE_BY_ACCOUNT_AND_DAY = Limit(name="code-account-day", amount=30, seconds=86_400)
INVITATION_BY_STAFF = Limit(name="invitation-staff", amount=60, seconds=3600)


def count_login(*, address: str, account: object) -> None:
    """Count an attempt to log in; `account` is the `selectors.account_key` of the name. Raise TooMany."""
    rate_limits.count(LOGIN_BY_ADDRESS, address)
    rate_limits.count(LOGIN_BY_ACCOUNT, account)


def count_signup(*, address: str) -> None:
    """Count an attempt to sign up; raise TooMany."""
    rate_limits.count(SIGNUP_BY_ADDRESS, address)


def count_guest(*, address: str) -> None:
    """Count a new guest; raise TooMany."""
    rate_limits.count(GUEST_BY_ADDRESS, address)


def count_email_code(*, address: str, mailbox: object) -> None:
    """Count a request to mail a code; raise TooMany.

    `address` is the network address; `mailbox` is the `selectors.mailbox_key` of the e-mail address.
    """
    rate_limits.count(EMAIL_CODE_BY_ADDRESS, address)
    rate_limits.count(EMAIL_CODE_BY_MAILBOX, mailbox)


def count_reset(*, address: str, account: object) -> None:
    """Count a request for a new password; raise TooMany.

    `address` is the network address; `account` is the `texts.name_key` of the e-mail address.
    """
    rate_limits.count(RESET_BY_ADDRESS, address)
    rate_limits.count(RESET_BY_ACCOUNT, account)


def count_invitation(*, staff_id: int) -> None:
    """Count a mail with an invitation; raise TooMany."""
    rate_limits.count(INVITATION_BY_STAFF, staff_id)


def count_code(*, user_id: int) -> None:
    """Count an attempt at a code of the second factor; raise TooMany."""
    rate_limits.count(CODE_BY_ACCOUNT, user_id)
    rate_limits.count(CODE_BY_ACCOUNT_AND_DAY, user_id)
