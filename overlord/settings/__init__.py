"""Django's settings. `base.py` has nearly all of them; the variable ENVIRONMENT chooses the module for the rest."""

from overlord.settings.env import ENVIRONMENT

if ENVIRONMENT == "production":
    from overlord.settings.prod import *  # noqa: F403
elif ENVIRONMENT == "test":
    from overlord.settings.test import *  # noqa: F403
else:
    from overlord.settings.dev import *  # noqa: F403
