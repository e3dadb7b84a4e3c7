"""Write the secrets into the volume that the containers of docker-compose.yml share."""

import json
import secrets
from pathlib import Path
from urllib.parse import unquote, urlsplit

from overlord.embedded.state import Folder


class PasswordMissing(Exception):
    """An address contains no password, and our servers must not run without one."""


def secrets_make(folder: Path) -> dict[str, str]:
    """Return the generated variables; generate them at the first start.

    They are kept in the file where `bin/up` keeps its own, so that the settings of our processes find them.
    """
    data_folder = Folder(folder)
    if not data_folder.env_file.exists():
        database, valkey = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        data_folder.write_env(
            {
                "SECRET_KEY": secrets.token_urlsafe(50),
                "DATABASE_URL": f"postgres://overlord:{database}@postgres:5432/overlord",
                "REDIS_URL": f"redis://:{valkey}@valkey:6379/0",
                "DEMO_PASSWORD": secrets.token_urlsafe(9),
            }
        )
    return data_folder.env()


def server_files_write(folder: Path, *, database_url: str, redis_url: str) -> None:
    """Write the passwords of the addresses for PostgreSQL, for Valkey and for Valkey's health check.

    These run as other users, so everybody may read the files; only the containers have the volume. Raises
    PasswordMissing.
    """
    database, valkey = _password("DATABASE_URL", database_url), _password("REDIS_URL", redis_url)
    files = {
        "postgres_password": database,
        "valkey_password": valkey,
        # Valkey's configuration quotes and escapes as JSON does.
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
        raise PasswordMissing(f"{name} contains no password. .env.template shows its form.")
    return unquote(found)
