#!/usr/bin/env python
"""The command line of Ticket Overlord: `manage.py help` lists what it can do."""

import os
import sys
from contextlib import suppress

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError, CommandParser, handle_default_options


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "overlord.settings")
    _read_options(sys.argv[2:])
    try:
        _ = settings.DEBUG  # reads the settings
    except ImproperlyConfigured as error:
        sys.exit(f"The settings are wrong. {error}")
    # `up` does not load the apps: they would take ten times as much memory as the command needs without them.
    if sys.argv[1:2] == ["up"]:
        from overlord.embedded.management.commands.up import Command

        Command().run_from_argv(sys.argv)
        return
    from overlord import command_line

    command_line.run(sys.argv)


def _read_options(arguments: list[str]) -> None:
    """Use the options --settings and --pythonpath. Django reads them too, but only after us."""
    parser = CommandParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--settings")
    parser.add_argument("--pythonpath")
    with suppress(CommandError):  # a wrong use of them, which Django reports
        handle_default_options(parser.parse_known_args(arguments)[0])


if __name__ == "__main__":
    main()
