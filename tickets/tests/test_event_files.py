"""Files of events: all rows are loaded or none, and every mistake is named with its line."""

import json
from datetime import datetime
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F

from overlord.kernel import texts
from tickets import event_files
from tickets.models import Event, Inventory, TicketType

CSV = """\
event,date,currency,description,ticket_type,price,amount,max_per_user,opens_at,closes_at
Gala,2030-05-01T19:00:00Z,EUR,"Dinner, and more",VIP,120.50,20,2,2030-04-01T00:00:00+02:00,
Gala,2030-05-01T19:00:00Z,EUR,,Regular,60,100,,,2030-04-30T12:00:00Z
Kabuki,2030-06-01T10:00:00Z,jpy,,Regular,9800,50,,,
"""

TYPE = {"ticket_type": "VIP", "price": "1.00", "amount": 1}

JSON = """\
[
  {"name": "Gala", "date": "2030-05-01T19:00:00Z", "ticket_types": [
    {"ticket_type": "VIP", "price": "120.50", "amount": 20},
    {"ticket_type": "Regular", "price": 60, "amount": 100}
  ]}
]
"""


def read(text: str) -> list[event_files.EventToLoad]:
    return event_files.read(dedent(text).encode())


def mistakes(content: str | bytes) -> list[tuple[int, str]]:
    if isinstance(content, str):
        content = dedent(content).encode()
    with pytest.raises(event_files.FileErrors) as raised:
        event_files.read(content)
    return raised.value.mistakes


HEAD = "event,date,ticket_type,price,amount\n"
ROW = "Gala,2030-05-01 19:30,VIP,1,1\n"


class TestFilesOfPrograms:
    """Files as spreadsheets and other programs write them."""

    @pytest.mark.parametrize(
        "content",
        [
            pytest.param(b"\xef\xbb\xbf" + (HEAD + ROW).encode(), id="CSV UTF-8 of Excel"),
            pytest.param(b"\xef\xbb\xbf" + JSON.encode(), id="JSON with a byte order mark"),
            pytest.param(b"\xff\xfe" + (HEAD + ROW).replace(",", "\t").encode("utf-16-le"), id="UTF-16"),
            pytest.param(b"\xfe\xff" + (HEAD + ROW).encode("utf-16-be"), id="UTF-16, big end first"),
            pytest.param((HEAD + ROW).replace(",", ";").encode(), id="semicolons"),
            pytest.param(b"sep=;\r\n" + (HEAD + ROW).replace(",", ";").encode(), id="sep=;"),
            pytest.param(b'"sep=,"\n' + (HEAD + ROW).encode(), id="sep=, in quotation marks"),
            pytest.param((HEAD + ROW).replace("\n", "\r\n").encode(), id="Windows line ends"),
            pytest.param((HEAD + ROW).replace("\n", "\r").encode(), id="old Macintosh line ends"),
            pytest.param(b"Event,Date,Ticket Type, PRICE ,Amount\n" + ROW.encode(), id="headings for people"),
            pytest.param(b"name,date,ticket-type,price,amount\n" + ROW.encode(), id="the words of JSON"),
            pytest.param((HEAD + ROW + ",,,,\n,,,,\n\n   \n").encode(), id="blank rows at the end"),
            pytest.param((HEAD + "\n,,,,\n" + ROW).encode(), id="blank rows in between"),
            pytest.param((HEAD + ROW).replace("\n", ",,,\n").encode(), id="blank columns at the end"),
            pytest.param(("\n" + HEAD + ROW).encode(), id="a blank row at the start"),
            pytest.param(
                (HEAD + "Gala , 2030-05-01 19:30 ,\xa0VIP,1 ,1\n").encode(), id="spaces around cells"
            ),
        ],
    )
    def test_files_of_programs_are_read(self, content: bytes) -> None:
        [gala] = event_files.read(content)
        assert (gala.name, gala.types[0].name) == ("Gala", "VIP")

    @pytest.mark.parametrize(
        ("content", "line", "said"),
        [
            (b"PK\x03\x04workbook", 1, "Save the sheet as CSV"),
            (b"\xd0\xcf\x11\xe0workbook", 1, "Save the sheet as CSV"),
            (HEAD.encode() + "Gala,2030-05-01 19:30,Ermäßigt,1,1\n".encode("cp1252"), 2, "not in UTF-8"),
            ((HEAD + ROW).encode("utf-16-le"), 1, "not in UTF-8"),
            (b"event,date,date,ticket_type,price,amount\n", 1, "date appears more than once"),
            (b"event,Name,date,ticket_type,price,amount\n", 1, "event appears more than once"),
            (HEAD.encode() + b"Gala,2030-05-01 19:30,VIP,1,1,note\n", 2, "in a column without a name"),
            (HEAD.encode() + b"Gala,2030-05-01 19:30,VIP,1\n", 2, "amount is missing"),
            (HEAD.encode() + b'"Gala,2030-05-01 19:30,VIP,1,1\n', 2, "quotation marks"),
            (HEAD.encode() + b'"Gala" 2,2030-05-01 19:30,VIP,1,1\n', 2, "quotation marks"),
            ((HEAD + ROW).encode() + b"x" * 140_000 + b",,,,\n", 3, "too long"),
            ((HEAD + ROW).encode() + b"x" * 120_000 + b",2030-05-01 19:30,VIP,1,1\n", 3, "120000 characters"),
            (HEAD.encode() + b"Gala,2030-05-01 19:30,VIP," + b"9" * 5001 + b",1\n", 2, "price"),
            (HEAD.encode() + b"Gala,2030-05-01 19:30,VIP,1," + b"9" * 5001 + b"\n", 2, "whole number"),
            (HEAD.encode() + b"Gala,2030-05-01 19:30,VIP,1e999999,1\n", 2, "Write only the number"),
            (
                HEAD.replace(",", ";").encode() + b"Gala;2030-05-01 19:30;VIP;15,00;1\n",
                2,
                "for example 15.00",
            ),
            (HEAD.encode() + b"Gala,01.05.2030 19:30,VIP,1,1\n", 2, "such as 2030-05-01 19:30"),
            (HEAD.encode() + b"Gala,9999-12-31T23:59:59-05:00,VIP,1,1\n", 2, "year must be"),
            (HEAD.encode() + b"Gala,0001-01-01T00:00:00+05:00,VIP,1,1\n", 2, "year must be"),
            (HEAD.encode() + b"Gala,2030-05-01 19:30,VIP,1,2147483648\n", 2, "2147483647"),
            (HEAD.encode() + "Gala,2030-05-01 19:30,VIP,1,２\n".encode(), 2, "whole number"),
            (HEAD.encode() + b"Gala,2030-05-01 19:30,VIP,1,1_0\n", 2, "whole number"),
            (HEAD.encode() + b"Ga\x07la,2030-05-01 19:30,VIP,1,1\n", 2, "control character"),
            (b"\xef\xbb\xbf", 1, "empty"),
        ],
    )
    def test_a_row_that_cannot_be_read_is_named_with_its_line(
        self, content: bytes, line: int, said: str
    ) -> None:
        [(where, sentence)] = mistakes(content)
        assert (where, said in sentence) == (line, True), sentence

    @pytest.mark.parametrize(
        ("event", "said"),
        [
            ({"name": {"en": "Concert"}}, "event must be a text"),
            ({"name": ["Concert"]}, "event must be a text"),
            ({"name": True}, "event must be a text"),
            ({"name": "\ud800"}, "an invalid character"),
            ({"description": {"en": "Two hours"}}, "description must be a text"),
            ({"colour": "red"}, "no column colour"),
            ({"name": None}, "event is missing"),
            ({"ticket_types": [{**TYPE, "price": {"EUR": 1}}]}, "price must be a text or a number"),
            ({"ticket_types": [{**TYPE, "name": "VIP"}]}, "no column event"),
            ({"ticket_types": [{**TYPE, "amount": 1.5}]}, "whole number"),
            ({"ticket_types": [{**TYPE, "amount": -1}]}, "whole number"),
            ({"ticket_types": [{**TYPE, "price": 1e30}]}, "Write only the number"),
            ({"ticket_types": {"VIP": TYPE}}, "list of `ticket_types`"),
            ({"ticket_types": []}, "list of `ticket_types`"),
            ({"ticket_types": [TYPE, {**TYPE, "ticket_type": "ＶＩＰ"}]}, "already has a ticket type"),
        ],
    )
    def test_json_of_another_form_is_refused(self, event: dict[str, Any], said: str) -> None:
        known = {"name": "Gala", "date": "2030-05-01T19:30", "ticket_types": [TYPE]}
        [(line, sentence)] = mistakes(json.dumps([{**known, **event}]))
        assert (line, said in sentence) == (1, True), sentence

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ('[{"name": "A", "name": "B"}]', "name appears more than once"),
            ('[{"name": "A", "Name": "B"}]', "Name appears more than once"),
            ("[" * 100_000, "nested too deeply"),
            ('[{"name": NaN, "date": "2030-05-01T19:30", "ticket_types": [{}]}]', "missing"),
            (JSON + "[]", "after the end"),
            ('{"events": []}', "must be a JSON list"),
        ],
    )
    def test_broken_json_of_a_program_is_refused(self, text: str, said: str) -> None:
        assert said in mistakes(text)[0][1]

    def test_a_price_in_json_is_the_number_that_is_written(self) -> None:
        [gala] = read(JSON.replace('"120.50"', "120.50").replace(": 60,", ": 0.10,"))
        assert [ticket_type.price_minor for ticket_type in gala.types] == [12050, 10]

    def test_a_name_is_one_line_and_a_description_keeps_its_own(self) -> None:
        [gala] = event_files.read(
            b'event,date,ticket_type,price,amount,description\n"The\r\n  Gala",2030-05-01 19:30,VIP,1,1,"a\r\nb"\n'
        )
        assert (gala.name, gala.description) == ("The Gala", "a\nb")

    @pytest.mark.parametrize(("opens", "closes"), [("2030-06-01", "2030-05-31"), ("2030-05-02", "")])
    def test_a_sale_that_opens_after_it_closes_is_refused(self, opens: str, closes: str) -> None:
        head = HEAD.replace("\n", ",opens_at,closes_at\n")
        [(line, sentence)] = mistakes(head + f"Gala,2030-05-01 19:30,VIP,1,1,{opens},{closes}\n")
        assert (line, "must open before it closes" in sentence) == (2, True)


class TestReading:
    def test_rows_of_one_event_belong_together(self) -> None:
        gala, kabuki = read(CSV)

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
        [gala] = read(csv)
        assert (gala.date, gala.time_zone) == (datetime.fromisoformat(instant), shown_in)
        assert len(gala.types) == 2

    @pytest.mark.parametrize("zone", ["Berlin", "europe/berlin", "CEST", "+01:00", "Europe", "../etc/passwd"])
    def test_an_unknown_time_zone_is_named(self, zone: str) -> None:
        csv = f"event,date,time_zone,ticket_type,price,amount\nGala,2030-05-01T19:30,{zone},VIP,1,1\n"
        [(line, sentence)] = mistakes(csv)
        assert (line, zone in sentence, "Europe/Berlin" in sentence) == (2, True, True)

    @pytest.mark.parametrize("column", ["date", "opens_at", "closes_at"])
    def test_a_time_that_clocks_skip_is_refused_with_its_column(self, column: str) -> None:
        row = {
            "event": "Gala",
            "date": "2027-05-01 19:30",
            "time_zone": "Europe/Berlin",
            "ticket_type": "VIP",
        }
        row |= {"price": "1", "amount": "1"}

        def csv(**changed: str) -> str:
            cells = row | changed
            return f"{','.join(cells)}\n{','.join(cells.values())}\n"

        [(line, sentence)] = mistakes(csv(**{column: "2027-03-28 02:30"}))
        assert (
            line,
            sentence.startswith(f"{column}: '2027-03-28 02:30' does not exist in Europe/Berlin"),
        ) == (2, True)
        read(csv(**{column: "2027-03-28 03:00"}))
        read(csv(**{column: "2027-03-28T02:30+01:00"}))
        read(csv(time_zone="UTC", **{column: "2027-03-28 02:30"}))

    def test_a_time_that_comes_twice_is_the_first_of_the_two(self) -> None:
        csv = f"{HEAD.strip()},time_zone\nGala,2027-10-31 02:30,VIP,1,1,Europe/Berlin\n"
        assert read(csv)[0].date == datetime.fromisoformat("2027-10-31T00:30+00:00")

    @pytest.mark.parametrize(
        ("zones", "wrong_line"),
        [
            (["Europe/Berlin", "", "Europe/Berlin"], None),
            (["UTC", "", ""], None),
            (["", "UTC", ""], None),  # it is the installation's zone, too
            (["Europe/Berlin", "Europe/London", ""], 3),
            (["", "Europe/Berlin", "UTC"], 3),
        ],
    )
    def test_rows_of_one_event_have_one_time_zone(self, zones: list[str], wrong_line: int | None) -> None:
        dates = ("2030-05-01T19:30", "2030-05-01 19:30", "2030-05-01 19:30:00")
        rows = zip(dates, zones, "ABC", strict=True)
        csv = "event,date,time_zone,ticket_type,price,amount\n"
        csv += "".join(f"Gala,{date},{zone},{name},1,1\n" for date, zone, name in rows)
        if wrong_line is None:
            [gala] = read(csv)
            assert len(gala.types) == 3
        else:
            assert mistakes(csv) == [(wrong_line, "Gala has another time zone on line 2.")]

    def test_json_and_csv_give_the_same_events(self) -> None:
        [gala] = read(JSON)

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
        assert any("too many decimal places for EUR" in sentence for line, sentence in found if line == 4)

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
    def test_the_error_of_broken_json_names_the_place(self, text: str, line: int) -> None:
        assert mistakes(text)[0][0] == line

    def test_a_mistake_in_json_names_its_event_and_ticket_type(self) -> None:
        """All events may be on one line, as programs write them."""
        types = [
            {**TYPE, "ticket_type": name, "price": price} for name, price in (("VIP", "1"), ("Box", "1,0"))
        ]
        names = ["Gala", "Ball"]
        gala, ball = ({"name": name, "date": "2030-05-01T19:00Z", "ticket_types": types} for name in names)
        found = mistakes(json.dumps([gala, {**ball, "colour": "red"}]))
        assert [line for line, _ in found] == [1, 1]
        assert [sentence.partition(": ")[0] for _, sentence in found] == ["Ball", "Gala, Box"]

    def test_missing_and_unknown_columns_are_named(self) -> None:
        assert "price" in mistakes("event,date,ticket_type,amount\n")[0][1]
        [(line, sentence)] = mistakes(
            "event,date,ticket_type,price,amount,colour\nGala,2030-05-01,VIP,1,1,red\n"
        )
        assert (line, "no column colour" in sentence) == (1, True)

    def test_a_type_twice_is_a_mistake(self) -> None:
        text = "event,date,ticket_type,price,amount\nGala,2030-05-01,VIP,1,1\nGala,2030-05-01,VIP,2,1\n"
        assert mistakes(text) == [(3, "Gala already has a ticket type VIP.")]


@pytest.mark.django_db
class TestLoading:
    def load(self, folder: Path, text: str, name: str = "events.csv") -> None:
        (folder / name).write_text(text)
        call_command("load_events", str(folder / name))

    def test_loaded_events_are_on_sale(self, tmp_path: Path) -> None:
        self.load(tmp_path, CSV)

        assert Event.objects.count() == 2
        vip = Inventory.objects.get(ticket_type__name="VIP")
        assert (vip.capacity, vip.held, vip.sold) == (20, 0, 0)
        closing = Inventory.objects.filter(ticket_type__name="Regular").order_by("pk")
        assert [row.closes_at == row.ticket_type.event.date for row in closing] == [False, True]

    def test_events_that_have_begun_are_named(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A wrong year is no mistake: somebody may load past events on purpose."""
        self.load(tmp_path, CSV.replace("Kabuki,2030", "Kabuki,2020"))
        said = capsys.readouterr()
        assert said.out == "2 events are on sale.\n"
        assert said.err.splitlines()[1:] == ["line 4: Kabuki on 2020-06-01T10:00:00+00:00"]

    def test_a_file_with_one_mistake_loads_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="line 5"):
            self.load(tmp_path, CSV + "Broken,2030-06-01T10:00:00Z,EUR,,Regular,x,50,,,\n")

        assert Event.objects.count() == 0

    def test_an_existing_event_is_not_loaded_again(self, tmp_path: Path) -> None:
        self.load(tmp_path, CSV)
        with pytest.raises(CommandError, match="already exists"):
            self.load(tmp_path, CSV.replace("Kabuki", "Noh"))

        assert TicketType.objects.count() == 3
        assert not Inventory.objects.filter(version__gt=F("version")).exists()

    def test_an_event_whose_time_comes_twice_is_not_loaded_again(self, tmp_path: Path) -> None:
        text = f"{HEAD.strip()},time_zone\nGala,2030-10-27 02:30,VIP,1,1,Europe/Berlin\n"
        self.load(tmp_path, text)
        with pytest.raises(CommandError, match=r"Gala on 2030-10-27T02:30:00\+02:00 already exists"):
            self.load(tmp_path, text)
        self.load(tmp_path, text.replace("02:30", "02:30+01:00"))
        assert Event.objects.count() == 2

    def test_a_file_that_cannot_be_read_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match=r"missing.csv cannot be read: No such file"):
            call_command("load_events", str(tmp_path / "missing.csv"))

    def test_the_database_has_the_last_word(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(texts, "name_key", lambda name: name)  # the check before the database's own
        with pytest.raises(CommandError, match=r"line 2: The database refuses Gala .*ticket_type_unique"):
            self.load(tmp_path, HEAD + "Gala,2030-05-01 19:30,VIP,1,1\nGala,2030-05-01 19:30,vip,1,1\n")
        assert Event.objects.count() == 0
