#!/usr/bin/env python
"""The command line of Ticket Overlord: `manage.py help` lists what it can do."""

import os
import sys

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "overlord.settings")
    try:
        _ = settings.DEBUG  # reads the settings
    except ImproperlyConfigured as error:
        sys.exit(f"The settings are wrong. {error}")
    # `up` does not load the apps: they would take ten times as much memory as the command needs without them.
    if sys.argv[1:2] == ["up"]:
        from overlord.embedded.management.commands.up import Command

        Command().run_from_argv(sys.argv)
        return
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
