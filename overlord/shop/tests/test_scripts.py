"""What the scripts of all pages decide, in Node."""

from pathlib import Path

import pytest

from tests import scripts

pytestmark = pytest.mark.skipif(scripts.NODE is None, reason="no Node is at hand")

# A clock and timers of our own: `until(time)` lets the time come, and `fetches` has when the page was fetched.
CLOCK = """
const { freshPage } = await import("shop/fresh-page.js");
let clock = 0, timers = [];
const fetches = [];
performance.now = () => clock;
globalThis.setTimeout = (act, wait) => timers.push({ act, at: clock + wait });
globalThis.location = { pathname: "/events/1/", search: "" };
globalThis.fetch = async () => { fetches.push(clock); return { ok: false }; };
async function until(time) {
  for (const due of timers.filter(({ at }) => at <= time).sort((one, other) => one.at - other.at)) {
    clock = due.at;
    due.act();
    for (let turn = 0; turn < 10; turn++) await null;
  }
  timers = timers.filter(({ at }) => at > time);
  clock = time;
}
"""


def test_a_fresh_page_is_never_older_than_what_asks_for_it(tmp_path: Path) -> None:
    script = """
      Math.random = () => 0;
      freshPage({ within: 2_000, kept: 1_000 });
      await until(400);
      freshPage({ within: 2_000, kept: 1_000 }); // the first fetch may get an answer that was made at 0
      await until(3_000);
      Math.random = () => 1;
      freshPage({ within: 2_000, kept: 1_000 });
      await until(4_000);
      freshPage({ within: 2_000, kept: 1_000 }); // shares it: it begins at 6,000
      await until(6_000);
      freshPage({ within: 0 }); // that one is on its way
      await until(9_000);
      done(fetches);
    """
    assert scripts.run(tmp_path, CLOCK + script) == [1_000, 1_400, 6_000, 6_000]
