"""Generate the secrets of docker-compose.yml, and write the servers' passwords into their volumes.

What must stay true: the volume of each server contains only its own password. `READ_BY` in
`overlord/settings/env.py` decides which of our processes reads which secret.
"""

import json
import secrets
from pathlib import Path
from urllib.parse import unquote, urlsplit

from overlord.embedded.state import Folder


class PasswordMissing(Exception):
    """The address of PostgreSQL or Valkey contains no password."""


def secrets_make(folder: Path) -> dict[str, str]:
    """Return the environment variables with the secrets; generate them if the folder has none.

    They are kept in a file in `folder`, where the settings of our processes read them.
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
    """Write the password of each address into the folder of its server, and the configuration of Valkey.

    Every user may read the files, because the servers run as other users. But a volume is only in the container of
    its server. Raise PasswordMissing.
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
