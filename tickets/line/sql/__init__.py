"""The app's SQL.

Statements are read from files at import. Migrations make the functions; their files here have the present text.
"""

from pathlib import Path

_FOLDER = Path(__file__).parent

# While the lock is held, nobody edits or deletes the event.
EVENT_LOCK = (
    "SELECT id FROM tickets_event WHERE id = %(event)s AND opening = 'draw' AND status = 'on_sale' FOR SHARE"
)
ENTER = (
    "SELECT n.is_new, n.due, s.* FROM line_enter(%(event)s, %(buyer)s, %(choices)s) n"
    " LEFT JOIN LATERAL line_entry_shown(n.entry) s ON true"
)
DRAW = "SELECT * FROM line_draw(%(event)s)"
ENTERING = (
    "SELECT e.opens_by_draw, e.buyers, e.sells, e.phase, e.address, line_types(%(event)s, %(now)s) AS types"
    " FROM line_entering(%(event)s, %(buyer)s, %(now)s) e"
)
GLANCE = (_FOLDER / "glance.sql").read_text()
DRAWN_PARTS_MAKE = (_FOLDER / "drawn_parts_make.sql").read_text()
ENTRIES_NEXT = (_FOLDER / "entries_next.sql").read_text()
TURNS_NOTE = (_FOLDER / "turns_note.sql").read_text()
TYPES_WISHED = (_FOLDER / "types_wished.sql").read_text()
WISHED = (_FOLDER / "wished.sql").read_text()
