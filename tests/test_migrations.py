"""Migrations are frozen, and the functions in the database are those of the files under `sql/`."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.db import connection

ROOT = Path(settings.BASE_DIR)
DEFINES_A_FUNCTION = re.compile(r"^CREATE (?:OR REPLACE )?FUNCTION ", re.MULTILINE)

# The definition and the settings of each function, except those of extensions.
FUNCTIONS = """
SELECT p.oid::regprocedure::text, pg_get_functiondef(p.oid)
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE n.nspname = %s AND p.prokind IN ('f', 'p')
   AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
"""


def own_apps() -> list[Path]:
    """Return the folders of the project's apps."""
    folders = [Path(app.path) for app in apps.get_app_configs()]
    return [
        folder for folder in folders if folder.is_relative_to(ROOT) and "site-packages" not in folder.parts
    ]


def function_files() -> dict[str, str]:
    """Return the text of each file under an app's `sql/` that defines a function."""
    files = [file for app in own_apps() for file in sorted((app / "sql").glob("*.sql"))]
    texts = {str(file.relative_to(ROOT)): file.read_text() for file in files}
    return {name: text for name, text in texts.items() if DEFINES_A_FUNCTION.search(text)}


def migration_files() -> list[Path]:
    return [file for app in own_apps() for file in sorted((app / "migrations").glob("0*.py"))]


def functions_in(schema: str) -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute(FUNCTIONS, [schema])
        return {
            name.removeprefix(f"{schema}."): definition.replace(f"FUNCTION {schema}.", "FUNCTION ", 1)
            for name, definition in cursor.fetchall()
        }


def differences(texts: Iterable[str]) -> set[str]:
    """Return the functions that differ between the migrated database and the texts of `sql/` files.

    The texts are run in a schema of their own, so that PostgreSQL writes both sides in one form. It needs a
    transaction that is rolled back.
    """
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA files; SET LOCAL search_path = files, public")
        for text in texts:
            cursor.execute(text)
        # Without either schema in the path, each name is written with its schema.
        cursor.execute("SET LOCAL search_path = pg_catalog")
    migrated, filed = functions_in("public"), functions_in("files")
    return {name for name in migrated.keys() | filed.keys() if migrated.get(name) != filed.get(name)}


@pytest.mark.django_db
def test_each_function_in_the_database_is_the_one_of_its_file() -> None:
    assert functions_in("public"), "the project has functions"
    assert differences(function_files().values()) == set(), "an edit of a function needs a migration"


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(function_files()))
def test_a_file_that_was_edited_without_a_migration_is_found(name: str) -> None:
    texts = function_files()
    text = texts[name]
    texts[name] = re.sub(r"^(\s*)BEGIN$", r"\1BEGIN -- edited", text, count=1, flags=re.MULTILINE)
    if texts[name] == text:  # an SQL function has no BEGIN
        texts[name] = text.replace(" IMMUTABLE ", " STABLE ")

    assert len(differences(texts.values())) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("name", sorted(function_files()))
def test_a_function_without_its_file_is_found(name: str) -> None:
    texts = function_files()
    del texts[name]

    assert len(differences(texts.values())) == 1


@pytest.mark.django_db
def test_a_file_without_its_migration_is_found() -> None:
    planted = "CREATE FUNCTION planted() RETURNS integer LANGUAGE sql AS 'SELECT 1'"

    assert differences([*function_files().values(), planted]) == {"planted()"}


@pytest.mark.django_db
def test_an_edit_of_a_functions_settings_is_found() -> None:
    texts = {name: text.replace(" STABLE ", " VOLATILE ") for name, text in function_files().items()}
    edited = [name for name, text in function_files().items() if text != texts[name]]

    assert len(differences(texts.values())) == len(edited) > 0


# A migration may import Django, Python's modules, and what its state names (the manager of users, the time zone).
FROZEN = {"datetime", "django", "os", "typing", "overlord.accounts.models", "tickets.models"}
READS_A_FILE = re.compile(r"\bopen\(|\.read_text\(|\.read_bytes\(|\bread\(")


def moving_parts(source: str) -> list[str]:
    """Return the modules of the project that a migration imports, and the files that it reads."""
    imported: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            imported += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            imported.append("." * node.level + (node.module or ""))
    return [
        *(name for name in imported if name not in FROZEN and name.split(".")[0] not in FROZEN),
        *READS_A_FILE.findall(source),
    ]


@pytest.mark.parametrize("file", migration_files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_a_migration_carries_all_it_runs_in_itself(file: Path) -> None:
    assert moving_parts(file.read_text()) == []


@pytest.mark.parametrize(
    "planted",
    [
        "from tickets import sql",
        "from .. import sql",
        "import tickets.sql",
        "from pathlib import Path\nPath('x.sql').read_text()",
        "open('x.sql').read()",
    ],
)
def test_a_migration_that_reads_from_elsewhere_is_found(planted: str) -> None:
    assert moving_parts(planted) != []
