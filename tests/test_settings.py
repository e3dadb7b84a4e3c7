"""Wrong values of settings stop the start, each with a sentence that names the setting."""

import os
import subprocess
import sys
from email.headerregistry import Address
from email.utils import parseaddr
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.mail.message import sanitize_address

from overlord.embedded.state import Folder
from overlord.settings import env
from tests import settings_reader
from tests.settings_reader import ROOT

POSTGRES = "postgres://user:password@host:5432/database"
STRIPE = {
    "PAYMENT_GATEWAY": "stripe",
    "STRIPE_SECRET_KEY": "sk_1",
    "STRIPE_PUBLISHABLE_KEY": "pk_1",
    "STRIPE_WEBHOOK_SECRETS": "whsec_1,whsec_2",
}


def test_a_secret_may_stand_in_a_file_of_its_own(tmp_path: Path) -> None:
    load = settings_reader.reader(tmp_path)
    file = tmp_path / "stripe"
    file.write_text("sk_of_the_file\n")
    given = {**STRIPE, "STRIPE_SECRET_KEY_FILE": str(file)}
    assert load(**{**given, "STRIPE_SECRET_KEY": ""})["STRIPE_SECRET_KEY"] == "sk_of_the_file"
    assert load(**given)["STRIPE_SECRET_KEY"] == "sk_1", "the variable itself wins over its file"
    file.unlink()
    with pytest.raises(
        ImproperlyConfigured, match=r"STRIPE_SECRET_KEY_FILE is .*stripe', which cannot be read"
    ):
        load(**{**given, "STRIPE_SECRET_KEY": ""})


SECRETS = {
    "SECRET_KEY": "s" * 50,
    "DATABASE_URL": POSTGRES,
    "REDIS_URL": "redis://:password@host:6379/0",
    "EMAIL_URL": "smtp://mail.example.org",
    **STRIPE,
}
OTHERS = {
    "ENVIRONMENT": "production",
    "ALLOWED_HOSTS": "a.example",
    "CSRF_TRUSTED_ORIGINS": "https://a.example",
}


def test_a_relative_folder_begins_at_the_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load = settings_reader.reader(tmp_path)
    checkout = tmp_path / "checkout"
    monkeypatch.chdir("/")  # processes run in folders of their own
    for given, expected in (
        ("", checkout / ".overlord"),
        ("data", checkout / "data"),
        ("/srv/data", Path("/srv/data")),
    ):
        assert load(OVERLORD_DATA=given)["DATA_DIR"] == expected
        assert load(OVERLORD_DATA=given)["PICTURES_DIR"] == expected / "pictures"
    assert load(OVERLORD_PICTURES="shown")["PICTURES_DIR"] == checkout / "shown"
    assert load(OVERLORD_PICTURES="/srv/shown")["PICTURES_DIR"] == Path("/srv/shown")


@pytest.mark.parametrize("name", ["OVERLORD_DATA", "OVERLORD_PICTURES"])
def test_a_folder_is_not_made_in_a_folder_named_tilde(tmp_path: Path, name: str) -> None:
    load = settings_reader.reader(tmp_path)
    with pytest.raises(ImproperlyConfigured, match=f"{name} is '~/shop'; write the whole path"):
        load(**{name: "~/shop"})
    load(**{name: "./~/shop"})


def test_a_value_that_begins_with_a_dollar_sign_is_not_the_name_of_a_variable(tmp_path: Path) -> None:
    load = settings_reader.reader(tmp_path)
    assert load(DEMO_PASSWORD="$TIME_ZONE", TIME_ZONE="UTC")["DEMO_PASSWORD"] == "$TIME_ZONE"


@pytest.mark.parametrize("process", env.PROCESSES)
def test_a_process_starts_with_what_it_reads_and_drops_the_rest(tmp_path: Path, process: str) -> None:
    load = settings_reader.reader(tmp_path)
    needed = [name for name in SECRETS if process in env.READ_BY.get(name, env.PROCESSES)]
    needs = {name: SECRETS[name] for name in needed}
    read = load(OVERLORD_PROCESS=process, **OTHERS, **needs)
    given_all = load(OVERLORD_PROCESS=process, **OTHERS, **SECRETS)
    for name in ("SECRET_KEY", "DATABASE_URL", "STRIPE_SECRET_KEY"):
        assert given_all[name] == read[name] == needs.get(name, "")
    assert given_all["STRIPE_WEBHOOK_SECRETS"] == (["whsec_1", "whsec_2"] if process == "web" else [])
    assert given_all["EMAIL"]["EMAIL_HOST"] == ("mail.example.org" if process == "upkeep" else "none.invalid")
    for name in set(needed) & set(env.READ_BY):
        with pytest.raises(ImproperlyConfigured, match=name):
            load(OVERLORD_PROCESS=process, **OTHERS, **{**needs, name: ""})


def test_a_process_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ImproperlyConfigured, match="OVERLORD_PROCESS is 'worker'; it must be one of web, logins, door"
    ):
        settings_reader.reader(tmp_path)(OVERLORD_PROCESS="worker")


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"PAYMENT_GATEWAY": "cash"}, "must be sandbox or stripe"),
        ({"PAYMENT_GATEWAY": "stripe"}, "STRIPE_SECRET_KEY must begin with sk_ or rk_"),
        ({"PAYMENT_GATEWAY": "stripe", "STRIPE_SECRET_KEY": "pk_1"}, "STRIPE_SECRET_KEY must begin"),
        (
            {"PAYMENT_GATEWAY": "stripe", "STRIPE_SECRET_KEY": "sk_1", "STRIPE_PUBLISHABLE_KEY": "pk_1"},
            "STRIPE_WEBHOOK_SECRETS must be",
        ),
        ({**STRIPE, "STRIPE_PUBLISHABLE_KEY": "pk_test_1"}, "so nobody could pay"),
        ({**STRIPE, "STRIPE_SECRET_KEY": "rk_test_1"}, "so nobody could pay"),
        ({"HOLD_SECONDS": "soon"}, "HOLD_SECONDS must be a whole number"),
        ({"HOLD_SECONDS": "0"}, "HOLD_SECONDS is 0"),
        ({"DATABASE_URL": "mysql://u:p@h/d"}, "must begin with postgres://"),
        ({"DATABASE_URL": f"{POSTGRES}?sslmode=full"}, "sslmode must be one of"),
        ({"DATABASE_URL": f"{POSTGRES}?ssl_mode=require"}, "the option ssl_mode, which cannot be set there"),
        ({"DATABASE_URL": f"{POSTGRES}?conn_max_age=60"}, "the option conn_max_age"),
        ({"DATABASE_URL": f"{POSTGRES}?options=-c%20jit%3Doff"}, "the option options"),
        ({"DATABASE_URL": f"{POSTGRES}?sslrootcert=/nowhere.pem"}, "sslrootcert names /nowhere.pem"),
        ({"DATABASE_URL": "postgres://u:p#w@h:5432/d"}, "DATABASE_URL cannot be read|%23"),
        (
            {"DATABASE_URL": POSTGRES, "DATABASE_DIRECT_URL": "mysql://h/database"},
            "DATABASE_DIRECT_URL must begin",
        ),
        ({"DATABASE_URL": POSTGRES, "DATABASE_DIRECT_URL": f"{POSTGRES}2"}, "name the same database"),
        ({"REDIS_URL": "sentinel://h:26379/0"}, "add .master_name=NAME"),
        ({"REDIS_URL": "sentinel://h:x/0?master_name=m"}, "REDIS_URL cannot be read"),
        ({"REDIS_URL": "sentinel://h,/0?master_name=m"}, "a host is missing"),
        ({"REDIS_URL": "sentinel://h/0?master_name=m&ssl_ca_certs=/ca.pem"}, "the option ssl_ca_certs"),
        ({"REDIS_URL": "rediss+sentinel://h/0"}, "add .master_name=NAME"),
        ({"REDIS_URL": "rediss+sentinel://h/0?master_name=m&ssl_cert_reqs=none"}, "can only be required"),
        (
            {"REDIS_URL": "rediss+sentinel://h/0?master_name=m&ssl_ca_certs=/nowhere.pem"},
            "names /nowhere.pem",
        ),
        ({"REDIS_URL": "sentinel://h/0?master_name=m#&sentinel_password=p"}, "REDIS_URL has a # in it"),
        ({"REDIS_URL": "rediss+sentinel://h/0?master_name=m#&ssl_ca_certs=/ca.pem"}, "write it as %23"),
        ({"REDIS_URL": "redis://[::1/0"}, "REDIS_URL cannot be read"),
        ({"REDIS_BROKER_URL": "amqp://h"}, "REDIS_BROKER_URL must begin with"),
        ({"REDIS_BROKER_URL": "redis://a redis://b"}, "REDIS_BROKER_URL must be one address"),
        ({"REDIS_CHANNEL_URLS": "redis://a redis://a"}, "REDIS_CHANNEL_URLS names an address twice"),
        ({"REDIS_CHANNEL_URLS": "redis://a redis://b/zero"}, "REDIS_CHANNEL_URLS: the path must be"),
        ({"REDIS_URL": "unix:///run/redis.sock"}, "must begin with redis:// or rediss://"),
        ({"REDIS_URL": "redis://h/zero"}, "the number of a database"),
        ({"REDIS_URL": "redis://h/0?socket_timeout=9"}, "the option socket_timeout"),
        ({"REDIS_URL": "redis://h/0?ssl_ca_certs=/ca.pem"}, "the option ssl_ca_certs"),
        ({"REDIS_URL": "rediss://h/0?ssl_cert_reqs=none"}, "ssl_cert_reqs can only be required"),
        ({"REDIS_URL": "rediss://h/0?ssl_ca_certs=/nowhere.pem"}, "ssl_ca_certs names /nowhere.pem"),
        ({"TRUSTED_PROXIES": "the balancer", "PROXIES": "2"}, "TRUSTED_PROXIES: 'the' does not appear"),
        ({"TRUSTED_PROXIES": "10.0.0.0/8"}, "PROXIES must be 2 or more"),
        ({"DEFAULT_FROM_EMAIL": "Shop, Inc. <shop@example.org>"}, "it must be one address"),
        ({"DEFAULT_FROM_EMAIL": "'Shop <shop@example.org>'"}, "it must be one address"),
        ({"DEFAULT_FROM_EMAIL": "Shop <shop>"}, "it must be one address"),
        ({"DEFAULT_FROM_EMAIL": "Shop <shop@example.org>, shop@example.com"}, "it must be one address"),
        ({"DEFAULT_FROM_EMAIL": "Shop <shop@example.org>\nBcc: all@example.org"}, "it must be one address"),
        ({"ALLOWED_HOSTS": "https://a.example"}, "ALLOWED_HOSTS has 'https://a.example'"),
        ({"ALLOWED_HOSTS": "a.example,b.example:443"}, "ALLOWED_HOSTS has 'b.example:443'"),
        ({"STATS_PUBLIC": "yse"}, "STATS_PUBLIC is 'yse'; it must be true or false"),
        ({"ENVIRONMENT": "staging"}, "must be development, test or production"),
    ],
)
def test_a_wrong_value_is_refused_with_a_sentence(
    tmp_path: Path, variables: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=sentence):
        settings_reader.reader(tmp_path)(**variables)


@pytest.mark.parametrize(
    "sender",
    [
        "shop@example.org",
        "Shop Inc. <shop@example.org>",
        '"Shop, Inc." <shop@example.org>',
        "Müller & Söhne <tickets@localhost>",
        "Büro (Berlin) <shop@bücher.example>",
    ],
)
def test_a_sender_whom_mails_can_name_is_read(tmp_path: Path, sender: str) -> None:
    assert settings_reader.reader(tmp_path)(DEFAULT_FROM_EMAIL=sender)["DEFAULT_FROM_EMAIL"] == sender
    sanitize_address(sender, "utf-8")
    Address(addr_spec=parseaddr(sender)[1])  # the sender with a name that staff have set


def test_the_direct_address_may_have_options_of_its_own(tmp_path: Path) -> None:
    direct = f"{POSTGRES}?sslmode=require"
    read = settings_reader.reader(tmp_path)(DATABASE_URL=POSTGRES, DATABASE_DIRECT_URL=direct)

    assert read["DATABASE_DIRECT_OPTIONS"] == {"sslmode": "require"}
    assert read["DATABASE_OPTIONS"] == {}


def test_one_redis_serves_all_purposes_unless_others_are_named(tmp_path: Path) -> None:
    load = settings_reader.reader(tmp_path)
    one = load(REDIS_URL="redis://a/0")
    assert (one["REDIS_BROKER_URL"], one["REDIS_CHANNEL_URLS"]) == ("redis://a/0", ["redis://a/0"])
    own = load(
        REDIS_URL="redis://a/0", REDIS_BROKER_URL="redis://b/0", REDIS_CHANNEL_URLS="redis://c/0 redis://d/0"
    )
    assert own["REDIS_URL"] == "redis://a/0"
    assert own["REDIS_BROKER_URL"] == "redis://b/0"
    assert own["REDIS_CHANNEL_URLS"] == ["redis://c/0", "redis://d/0"]


@pytest.mark.parametrize("secrets", ["whsec_1,whsec_2", "whsec_1, whsec_2,"])
def test_several_secrets_are_read(tmp_path: Path, secrets: str) -> None:
    read = settings_reader.reader(tmp_path)(**{**STRIPE, "STRIPE_WEBHOOK_SECRETS": secrets})

    assert read["STRIPE_WEBHOOK_SECRETS"] == ["whsec_1", "whsec_2"]


def test_right_values_are_read(tmp_path: Path) -> None:
    load = settings_reader.reader(tmp_path)
    hosts = ["a.example", ".b.example", "10.0.0.1", "[::1]", "*"]
    assert load(ALLOWED_HOSTS=", ".join(hosts))["ALLOWED_HOSTS"] == hosts
    assert [load(STATS_PUBLIC=text)["STATS_PUBLIC"] for text in ("", "False", "0", "true ", "on")] == (
        [False, False, False, True, True]
    )


@pytest.mark.parametrize(
    "text",
    [
        b"\xef\xbb\xbfHOLD_SECONDS=60\r\n",
        b"# A comment\n  # another\n \t\nexport HOLD_SECONDS='60'\n",
        b'HOLD_SECONDS="60"',
    ],
    ids=["byte order mark and CRLF", "comments and blanks", "quotes"],
)
def test_the_env_file_is_read(tmp_path: Path, text: bytes) -> None:
    load = settings_reader.reader(tmp_path)
    (tmp_path / "checkout" / ".env").write_bytes(text)

    assert load()["HOLD_SECONDS"] == 60


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a # comment", "a"),
        ("a #", "a"),
        ("a#b", "a#b"),
        ("a\t# b", "a\t# b"),
        ("  a b  ", "a b"),
        ("a 'b' \"c\"", "a 'b' \"c\""),
        ("'a # $b' # comment", "a # $b"),
        ("'a'#", "a"),
        (r"'it\'s'", "it's"),
        (r"'a\b\\c'", r"a\b\\c"),
        ('"a # b" # comment', "a # b"),
        (r'"a \"b\" \\"', 'a "b" \\'),
    ],
)
def test_a_value_is_read_as_compose_reads_it(tmp_path: Path, text: str, value: str) -> None:
    """The expected values follow from the reader of Compose (dotenv/parser.go of compose-spec/compose-go)."""
    load = settings_reader.reader(tmp_path)
    (tmp_path / "checkout" / ".env").write_text(f"DEMO_PASSWORD={text}\nHOLD_SECONDS=60 # a minute\n")

    read = load()

    assert (read["DEMO_PASSWORD"], read["HOLD_SECONDS"]) == (value, 60)


@pytest.mark.parametrize(
    "text",
    [
        "a$b",
        '"a$b"',
        '"a\\nb"',
        " # comment",
        '"Shop, Inc." <a@hidden>',
        "'it's'",
        "'open",
        '"open',
        '"two" "words"',
    ],
)
def test_a_value_that_compose_reads_in_another_way_is_refused_and_not_quoted(
    tmp_path: Path, text: str
) -> None:
    """Compose replaces variables and escapes, does not know two values, and takes a comment alone as the value."""
    load = settings_reader.reader(tmp_path)
    (tmp_path / "checkout" / ".env").write_text(f"DEMO_PASSWORD={text}\n")

    with pytest.raises(
        ImproperlyConfigured, match=r"\.env, line 1, cannot be read: .* in single quotes"
    ) as refused:
        load()

    assert text.strip() not in str(refused.value)


@pytest.mark.parametrize("value", ["a # b", "'a'", '"a"', "$a$b", "a\\"])
def test_the_file_of_bin_up_is_read_as_it_is_written(tmp_path: Path, value: str) -> None:
    load = settings_reader.reader(tmp_path)
    folder = Folder(tmp_path / "data")
    folder.make()
    folder.write_env({"SECRET_KEY": value})

    assert load(OVERLORD_DATA=str(folder.path))["SECRET_KEY"] == folder.env()["SECRET_KEY"] == value


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"HOLD_SECONDS=60\nSECRET_KEY = hidden\n", r"\.env, line 2, cannot be read: write NAME=value"),
        (b"SECRET_KEY hidden\n", r"\.env, line 1, cannot be read"),
        (b" SECRET_KEY=hidden\n", r"\.env, line 1, cannot be read"),
        (b"TIME_ZONE=K\xf6ln\n", r"\.env cannot be read: it must be a text file in UTF-8"),
        (None, r"\.env cannot be read: it must be a text file"),
    ],
    ids=["blanks around =", "no =", "a blank before the name", "not UTF-8", "a folder"],
)
def test_an_env_file_that_cannot_be_read_is_refused_and_not_quoted(
    tmp_path: Path, text: bytes | None, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    load = settings_reader.reader(tmp_path)
    file = tmp_path / "checkout" / ".env"
    if text is None:
        file.mkdir()
    else:
        file.write_bytes(text)
    with pytest.raises(ImproperlyConfigured, match=sentence) as refused:
        load()
    assert "hidden" not in f"{refused.value}{caplog.text}"


@pytest.mark.parametrize("kind", ["sk", "rk"])
def test_both_keys_of_stripe_may_be_test_keys(tmp_path: Path, kind: str) -> None:
    keys = {"STRIPE_SECRET_KEY": f"{kind}_test_1", "STRIPE_PUBLISHABLE_KEY": "pk_test_1"}
    read = settings_reader.reader(tmp_path)(**{**STRIPE, **keys})
    assert read["STRIPE_SECRET_KEY"] == f"{kind}_test_1"


@pytest.mark.processes
@pytest.mark.parametrize(("variables", "starts"), [(STRIPE, True), ({"HOLD_SECONDS": "soon"}, False)])
def test_a_process_starts_on_right_values_alone(variables: dict[str, str], starts: bool) -> None:
    argv = [sys.executable, "manage.py", "check"]
    started = subprocess.run(argv, cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True)

    assert (started.returncode == 0) is starts, started.stderr
    assert ("HOLD_SECONDS must be a whole number" in started.stderr) is not starts


@pytest.mark.processes
@pytest.mark.parametrize("command", ["check", "up"])
def test_a_command_names_a_wrong_value_without_a_traceback(command: str) -> None:
    variables = {**os.environ, "HOLD_SECONDS": "soon"}
    argv = [sys.executable, "manage.py", command]
    started = subprocess.run(argv, cwd=ROOT, env=variables, capture_output=True, text=True)

    assert started.returncode == 1
    assert started.stderr == "The settings are wrong. HOLD_SECONDS must be a whole number of seconds.\n"


@pytest.mark.processes
def test_the_option_settings_names_the_settings_of_a_command(tmp_path: Path) -> None:
    (tmp_path / "settings_of_mine.py").write_text("from overlord.settings import *\n\nHOLD_SECONDS = 61\n")
    options = ("--settings", "settings_of_mine", "--pythonpath", str(tmp_path))
    code = "from django.conf import settings; print(settings.HOLD_SECONDS)"
    argv = (sys.executable, "manage.py", "shell", *options, "--no-imports", "-c", code)
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (0, "61\n"), done.stderr
