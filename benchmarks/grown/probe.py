"""Count what PostgreSQL does for each request to a system.

Each request is made in this process and its SQL recorded. Each statement then runs again under EXPLAIN, in a
transaction that is rolled back, until PostgreSQL has settled on the plans of functions. PostgreSQL reads a table of
one page without its index. The probe tells it of more rows, so that a small system uses the plans of a large one.
"""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.test import Client

from benchmarks.grown.sizes import SWEEPER, Asked, Size, asked
from overlord.kernel import clock, db
from realtime import publish
from tickets import services

AGAIN = 8  # PostgreSQL settles on a function's plan after five executions

# An INSERT searches each index for the place of the new row; partial indexes are not counted.
_SEARCHES = """
SELECT COALESCE(sum(s.idx_scan + s.n_tup_ins * x.whole), 0)::int AS times
  FROM pg_stat_xact_user_tables s,
       LATERAL (SELECT count(*) AS whole FROM pg_index WHERE indrelid = s.relid AND indpred IS NULL) x
"""

_BELIEVE = """
UPDATE pg_class SET reltuples = reltuples * %s
 WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i') AND reltuples > 0
"""

Statement = tuple[str, Any]


def main(events: int, reservations: int, believed: int) -> None:
    """Print, as JSON, the queries, shared buffers and searches of an index of each request, functions included.

    `believed` is the factor by which PostgreSQL is told of more rows than there are.
    """
    size = Size("", events, reservations)
    if believed > 1:
        db.rows(_BELIEVE, [believed])
        for way in ("seqscan", "hashjoin", "mergejoin"):  # which PostgreSQL would choose for few pages
            db.rows(f"SET enable_{way} = off")
    work = {name: _work(_request(of)) for name, of in asked(size).items()}
    work[SWEEPER] = _work(_sweep)
    db.rows("VACUUM ANALYZE")
    json.dump(work, sys.stdout)


def _work(does: Callable[[], list[Statement]]) -> dict[str, float]:
    statements = does()
    # The least of several executions counts: the first ones also fill caches.
    buffers, searches = zip(
        *(min(_explained(*each) for _ in range(AGAIN)) for each in statements), strict=True
    )
    return {"queries": len(statements), "buffers": sum(buffers), "searches": sum(searches)}


def _request(of: Callable[[int], Asked]) -> Callable[[], list[Statement]]:
    def does() -> list[Statement]:
        _ask(of(0))  # caches the token
        return _ask(of(1))

    return does


def _ask(wanted: Asked) -> list[Statement]:
    """Make a request and return its SQL. A reservation is released again."""
    publish.values_delete(key=f"event:{wanted.event}")
    client = Client(headers={"Authorization": f"Token {wanted.token}"} if wanted.token else {})
    with _recorded() as statements:
        answer = client.generic(wanted.method, wanted.path, wanted.body or "", "application/json")
    if answer.status_code != wanted.status:
        raise RuntimeError(f"{wanted} was answered with {answer.status_code}: {answer.content!r}")
    found = answer.json()
    rows = found["results"] if isinstance(found, dict) and "results" in found else found
    if wanted.rows not in (None, len(rows)):
        raise RuntimeError(f"{wanted} was answered with {len(rows)} rows.")
    if answer.status_code == 201:
        client.delete(f"{wanted.path}{found['id']}/")
    return statements


def _sweep() -> list[Statement]:
    with _recorded() as statements:
        services.sweep(instants=[clock.now()])
    return statements


@contextmanager
def _recorded() -> Iterator[list[Statement]]:
    statements: list[Statement] = []

    def record(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        statements.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(record):
        yield statements


def _explained(sql: str, params: Any) -> tuple[int, int]:
    """Return the buffers and the searches of a statement, and roll it back."""
    with db.transaction():
        before = _searches()
        [row] = db.rows(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", params)
        searches = _searches() - before
        transaction.set_rollback(True)
    plan = row["QUERY PLAN"][0]["Plan"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"], searches


def _searches() -> int:
    """Return how many searches of indexes this backend has counted and not reported. A rollback keeps the count."""
    [row] = db.rows(_SEARCHES)
    return int(row["times"])
