"""Write the generated secrets into the volumes of docker-compose.yml.

Each server has a volume that contains only its own password. `READ_BY` in `overlord/settings/env.py` decides which
of our processes reads which secret.
"""

import json
import secrets
from pathlib import Path
from urllib.parse import unquote, urlsplit

from overlord.embedded.state import Folder


class PasswordMissing(Exception):
    """An address contains no password, which our servers need."""


def secrets_make(folder: Path) -> dict[str, str]:
    """Return the variables with the secrets; generate them at the first start.

    They are kept in the file that `bin/up` uses too, so that the settings of our processes find them.
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


def server_files_write(*, postgres: Path, valkey: Path, database_url: str, redis_url: str) -> None:
    """Write the password of each address into the folder of its server, and Valkey's configuration.

    The servers run as other users, so every user may read the files; only the containers of the servers have the
    volumes. Raise PasswordMissing.
    """
    database, redis = _password("DATABASE_URL", database_url), _password("REDIS_URL", redis_url)
    _write(postgres / "password", database)
    _write(valkey / "password", redis)
    # Valkey's configuration quotes and escapes as JSON does.
    _write(valkey / "valkey.conf", f"requirepass {json.dumps(redis, ensure_ascii=False)}\n")


def _write(file: Path, text: str) -> None:
    new = file.with_name(f"{file.name}.new")
    new.write_text(text, encoding="utf-8")
    new.chmod(0o644)
    new.replace(file)


def _password(name: str, url: str) -> str:
    found = urlsplit(url).password
    if not found:
        raise PasswordMissing(f"{name} contains no password. .env.template shows its form.")
    return unquote(found)
