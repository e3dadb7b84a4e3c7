"""The volume in which the containers of docker-compose.yml keep their secrets."""

import json
import secrets
from pathlib import Path
from urllib.parse import unquote, urlsplit

from overlord.embedded.state import Folder


class PasswordMissing(Exception):
    """An address names no password, and a server of ours is not to run without one."""


def drawn(folder: Path) -> dict[str, str]:
    """Will give the variables that were drawn at the first start, which this may be.

    They lie where `bin/up` leaves its own, so that the settings of our processes find them.
    """
    home = Folder(folder)
    if not home.env_file.exists():
        database, valkey = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        home.write_env(
            {
                "SECRET_KEY": secrets.token_urlsafe(50),
                "DATABASE_URL": f"postgres://overlord:{database}@postgres:5432/overlord",
                "REDIS_URL": f"redis://:{valkey}@valkey:6379/0",
                "DEMO_PASSWORD": secrets.token_urlsafe(9),
            }
        )
    return home.env()


def tell_servers(folder: Path, *, database_url: str, redis_url: str) -> None:
    """Will write the passwords in the addresses for PostgreSQL, for Valkey and for Valkey's health check.

    These run as other users, so the files are readable; only containers see the folder. Raises PasswordMissing.
    """
    database, valkey = _password("DATABASE_URL", database_url), _password("REDIS_URL", redis_url)
    files = {
        "postgres_password": database,
        "valkey_password": valkey,
        # JSON's quotes and escapes are those of Valkey's configuration.
        "valkey.conf": f"requirepass {json.dumps(valkey, ensure_ascii=False)}\n",
    }
    for name, text in files.items():
        new = folder / f"{name}.new"
        new.write_text(text, encoding="utf-8")
        new.chmod(0o644)
        new.replace(folder / name)


def _password(name: str, url: str) -> str:
    found = urlsplit(url).password
    if not found:
        raise PasswordMissing(f"{name} names no password. .env.template shows its form.")
    return unquote(found)
