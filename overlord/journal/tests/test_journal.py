"""The journal keeps its entries: the database refuses all changes except erasing a person and pruning."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection
from django.utils import timezone, translation

from overlord.accounts.models import User
from overlord.journal import services
from overlord.journal.actions import SENTENCES, SENTENCES_OF_ONE, Action, label, sentence
from overlord.journal.models import JournalEntry
from overlord.journal.operations import entry_add
from overlord.kernel import db

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def entry(user_make: Callable[..., User]) -> JournalEntry:
    person = user_make()
    services.entry_write(
        actor_id=user_make().pk,
        action=Action.EVENTS_LOADED,
        now=timezone.now(),
        person_id=person.pk,
        count=3,
        address=person.email,
    )
    return JournalEntry.objects.get()


def test_an_entry_is_written_with_the_transaction_or_not_at_all(user_make: Callable[..., User]) -> None:
    with pytest.raises(db.TransactionError):
        entry_add(actor_id=None, action=Action.SALE_PAUSED, now=timezone.now())
    with pytest.raises(ZeroDivisionError), db.transaction():
        entry_add(actor_id=None, action=Action.SALE_PAUSED, now=timezone.now())
        _ = 1 / 0
    assert not JournalEntry.objects.exists()


@pytest.mark.parametrize(
    "change", [{"action": "sale_paused"}, {"actor": None}, {"facts": {"count": 4}}, {"at": timezone.now()}]
)
def test_an_entry_cannot_be_changed_or_deleted(entry: JournalEntry, change: dict[str, object]) -> None:
    with pytest.raises(IntegrityError, match="stays as it was written"):
        JournalEntry.objects.update(**change)
    with pytest.raises(IntegrityError, match="stays as it was written"):
        entry.delete()
    assert list(JournalEntry.objects.values()) == [
        {
            **{field.attname: getattr(entry, field.attname) for field in entry._meta.concrete_fields},
        }
    ]


def test_control_without_its_trigger_an_entry_can_be_changed(entry: JournalEntry) -> None:
    """Drop the trigger, as a negative control."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE journal_journalentry DISABLE TRIGGER journal_entry_stays")
        try:
            assert JournalEntry.objects.update(action="sale_paused") == 1
        finally:
            cursor.execute("ALTER TABLE journal_journalentry ENABLE TRIGGER journal_entry_stays")


def test_the_facts_of_an_entry_are_erased_with_the_person(entry: JournalEntry) -> None:
    assert entry.person is not None
    call_command("person_erase", str(entry.person.pk), "--yes")
    entry.refresh_from_db()
    assert entry.facts == {}
    assert sentence(entry.action, entry.facts) == "Loaded … events from a file and put them on sale"


def test_an_address_in_an_entry_is_erased_with_its_owner(user_make: Callable[..., User]) -> None:
    person = user_make()
    services.entry_write(
        actor_id=None, action=Action.ROLES_MADE, now=timezone.now(), address=person.email.upper()
    )
    call_command("person_erase", str(person.pk), "--yes")
    assert [each.facts for each in JournalEntry.objects.filter(action=Action.ROLES_MADE)] == [{}]


def test_prune_deletes_old_entries_only(entry: JournalEntry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services, "BATCH", 2)
    old = timezone.now() - timedelta(days=731)
    for _ in range(5):
        services.entry_write(actor_id=None, action=Action.ROLES_MADE, now=old)

    call_command("prune")

    assert list(JournalEntry.objects.all()) == [entry]
    with pytest.raises(IntegrityError):  # the permission to delete ended with the command
        JournalEntry.objects.all().delete()


def test_each_action_has_a_sentence_in_each_language() -> None:
    assert set(SENTENCES) == {action.value for action in Action}
    english = {action: label(action) for action in Action}
    with translation.override("de"):
        assert all(label(action) != english[action] for action in Action)
    assert sentence("from_a_later_release", {}) == "from a later release"


@pytest.mark.parametrize("action", SENTENCES_OF_ONE)
def test_a_count_of_one_is_told_in_the_singular(action: str) -> None:
    facts = {"code": "SPRING", "message": 3}
    assert sentence(action, {**facts, "count": 1}) != sentence(action, {**facts, "count": 2})
    assert "1 " not in sentence(action, {**facts, "count": 1})
