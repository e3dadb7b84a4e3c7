"""Files of events: all or nothing, and every mistake with its line."""

from datetime import datetime
from pathlib import Path
from textwrap import dedent

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F

from tickets import event_files
from tickets.models import Event, Inventory, TicketType

CSV = """\
event,date,currency,description,ticket_type,price,amount,max_per_user,opens_at,closes_at
Gala,2030-05-01T19:00:00Z,EUR,"Dinner, and more",VIP,120.50,20,2,2030-04-01T00:00:00+02:00,
Gala,2030-05-01T19:00:00Z,EUR,,Regular,60,100,,,2030-04-30T12:00:00Z
Kabuki,2030-06-01T10:00:00Z,jpy,,Regular,9800,50,,,
"""

JSON = """\
[
  {"name": "Gala", "date": "2030-05-01T19:00:00Z", "ticket_types": [
    {"ticket_type": "VIP", "price": "120.50", "amount": 20},
    {"ticket_type": "Regular", "price": 60, "amount": 100}
  ]}
]
"""


def mistakes(text: str, *, is_json: bool = False) -> list[tuple[int, str]]:
    with pytest.raises(event_files.FileErrors) as raised:
        event_files.read(dedent(text), is_json=is_json)
    return raised.value.mistakes


class TestReading:
    def test_rows_of_one_event_belong_together(self) -> None:
        gala, kabuki = event_files.read(CSV, is_json=False)

        assert [
            (ticket_type.name, ticket_type.price_minor, ticket_type.capacity, ticket_type.max_per_user)
            for ticket_type in gala.types
        ] == [
            ("VIP", 12050, 20, 2),
            ("Regular", 6000, 100, 10),
        ]
        assert gala.types[0].opens_at is not None
        assert gala.types[0].opens_at.isoformat() == "2030-04-01T00:00:00+02:00"
        assert (kabuki.currency, kabuki.types[0].price_minor) == ("JPY", 9800)

    @pytest.mark.parametrize(
        ("date", "zone", "instant", "shown_in"),
        [
            ("2030-05-01T19:30:00", "", "2030-05-01T19:30:00+00:00", "UTC"),
            ("2030-05-01T19:30:00Z", "", "2030-05-01T19:30:00+00:00", "UTC"),
            ("2030-05-01T19:30:00", "Europe/Berlin", "2030-05-01T17:30:00+00:00", "Europe/Berlin"),
            ("2030-05-01T19:30:00+02:00", "Europe/Berlin", "2030-05-01T17:30:00+00:00", "Europe/Berlin"),
            ("2030-05-01T17:30:00Z", "Europe/Berlin", "2030-05-01T17:30:00+00:00", "Europe/Berlin"),
            ("2030-05-01T19:30:00+01:00", "", "2030-05-01T18:30:00+00:00", "Etc/GMT-1"),
            ("2030-05-01T19:30:00-05:00", "", "2030-05-02T00:30:00+00:00", "Etc/GMT+5"),
            ("2030-05-01T19:30:00+05:30", "", "2030-05-01T14:00:00+00:00", "UTC"),
        ],
    )
    def test_a_date_is_read_and_shown_in_the_events_zone(
        self, date: str, zone: str, instant: str, shown_in: str
    ) -> None:
        head = "event,date,time_zone,ticket_type,price,amount"
        csv = f"{head}\nGala,{date},{zone},VIP,1,1\nGala,{date},,Regular,1,1\n"
        [gala] = event_files.read(csv, is_json=False)
        assert (gala.date, gala.time_zone) == (datetime.fromisoformat(instant), shown_in)
        assert len(gala.types) == 2

    @pytest.mark.parametrize("zone", ["Berlin", "europe/berlin", "CEST", "+01:00", "Europe", "../etc/passwd"])
    def test_what_is_no_time_zone_is_named(self, zone: str) -> None:
        csv = f"event,date,time_zone,ticket_type,price,amount\nGala,2030-05-01T19:30,{zone},VIP,1,1\n"
        [(line, sentence)] = mistakes(csv)
        assert (line, zone in sentence, "Europe/Berlin" in sentence) == (2, True, True)

    def test_json_and_csv_give_the_same_events(self) -> None:
        [gala] = event_files.read(JSON, is_json=True)

        assert [
            (ticket_type.name, ticket_type.price_minor, ticket_type.line) for ticket_type in gala.types
        ] == [
            ("VIP", 12050, 2),
            ("Regular", 6000, 2),
        ]

    def test_every_mistake_is_named_with_its_line(self) -> None:
        found = mistakes(
            """\
            event,date,currency,ticket_type,price,amount,max_per_user
            Gala,yesterday,EUR,VIP,1,1,1
            Gala,2030-05-01,XXL,VIP,-1,1,1
            Gala,2030-05-01,EUR,VIP,1.005,many,0
            ,2030-05-01,EUR,,1,1,1
            Gala,2030-05-01,EUR,VIP,1,99999999999,1
            """
        )

        assert [line for line, _ in found] == [2, 3, 3, 4, 4, 4, 5, 5, 6]
        assert any("date" in sentence for line, sentence in found if line == 2)
        assert any("more decimals than EUR" in sentence for line, sentence in found if line == 4)

    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ("", 1),
            ("[]", 1),
            ("{}", 1),
            ("[\n{}\n]", 2),
            ('[\n{"name": "A",\n bad}]', 3),
            ("[\n1 2]", 2),
            ('[\n\n{"name": "A", "ticket_types": [1]}]', 3),
            ("[\n", 2),
        ],
    )
    def test_broken_json_says_where(self, text: str, line: int) -> None:
        assert mistakes(text, is_json=True)[0][0] == line

    def test_missing_and_unknown_columns_are_named(self) -> None:
        assert "price" in mistakes("event,date,ticket_type,amount\n")[0][1]
        [(line, sentence)] = mistakes(
            "event,date,ticket_type,price,amount,colour\nGala,2030-05-01,VIP,1,1,red\n"
        )
        assert (line, sentence) == (2, "unknown column colour")

    def test_a_type_twice_is_a_mistake(self) -> None:
        text = "event,date,ticket_type,price,amount\nGala,2030-05-01,VIP,1,1\nGala,2030-05-01,VIP,2,1\n"
        assert mistakes(text) == [(3, "Gala has a ticket type VIP already.")]


@pytest.mark.django_db
class TestLoading:
    def load(self, folder: Path, text: str, name: str = "events.csv") -> None:
        (folder / name).write_text(text)
        call_command("load_events", str(folder / name))

    def test_it_puts_them_on_sale(self, tmp_path: Path) -> None:
        self.load(tmp_path, CSV)

        assert Event.objects.count() == 2
        vip = Inventory.objects.get(ticket_type__name="VIP")
        assert (vip.capacity, vip.held, vip.sold) == (20, 0, 0)
        closing = Inventory.objects.filter(ticket_type__name="Regular").order_by("pk")
        assert [row.closes_at == row.ticket_type.event.date for row in closing] == [False, True]

    def test_a_file_with_one_mistake_loads_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="line 5"):
            self.load(tmp_path, CSV + "Broken,2030-06-01T10:00:00Z,EUR,,Regular,x,50,,,\n")

        assert Event.objects.count() == 0

    def test_what_is_there_already_is_not_loaded_again(self, tmp_path: Path) -> None:
        self.load(tmp_path, CSV)
        with pytest.raises(CommandError, match="exists already"):
            self.load(tmp_path, CSV.replace("Kabuki", "Noh"))

        assert TicketType.objects.count() == 3
        assert not Inventory.objects.filter(version__gt=F("version")).exists()

    def test_a_file_that_cannot_be_read_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "latin.csv").write_bytes(b"event\n\xe9\xff")
        for name in ("missing.csv", "latin.csv"):
            with pytest.raises(CommandError, match="cannot be read"):
                call_command("load_events", str(tmp_path / name))
