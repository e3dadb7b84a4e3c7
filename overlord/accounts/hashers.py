"""The hashing of passwords: Argon2id with the minimum that OWASP's Password Storage Cheat Sheet asks for.

Higher values would slow an attacker only a little. But each log-in would cost more CPU time, and many users log in
when a sale opens.
"""

from django.contrib.auth.hashers import Argon2PasswordHasher


class Argon2idHasher(Argon2PasswordHasher):
    """19 MiB of memory, 2 passes, 1 lane. A hash with other parameters is replaced at the next log-in."""

    memory_cost = 19 * 1024  # KiB
    time_cost = 2
    parallelism = 1
