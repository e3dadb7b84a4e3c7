// Fetches the open page again, because frames do not have everything that the page shows. Times are in milliseconds.

const PATIENCE = 30_000; // the longest wait for an answer
const FIRST_PAUSE = 3_000; // after a failure; each further failure doubles the pause
const LONGEST_PAUSE = 60_000; // unless the server asks for a longer one

let pending = null; // the latest fetch: its address, when it begins, and the promise of its document
let failures = 0; // since the last successful fetch
let pauseUntil = -Infinity;

/** Fetch this page, or the page at `address`, as it is after this call. Return a promise of its document, or of null if
 * that fails.
 *
 * A random wait of at most `within` milliseconds spreads the requests of all open pages. The server may send an answer
 * that it made up to `kept` milliseconds ago, so the fetch begins at least `kept` milliseconds after the call. If a
 * fetch that still waits begins late enough for another call, both calls share it. Each gets a copy of the page,
 * because callers move parts of it into their own page. After a failure, no fetch begins for some time. */
export function freshPage({ within, kept = 0, address = location.pathname + location.search }) {
  const soonest = performance.now() + kept;
  const isShared = pending?.address === address && pending.begins >= soonest;
  if (!isShared) pending = fetched(address, Math.max(soonest + Math.random() * within, pauseUntil));
  return pending.page.then((page) => page && page.cloneNode(true));
}

/** Return for how many more milliseconds no fetch begins, because the last one failed; 0 if there is no such pause. */
export function pauseLeft() {
  return Math.max(0, pauseUntil - performance.now());
}

function fetched(address, begins) {
  const fetching = { address, begins };
  fetching.page = wait(begins - performance.now()).then(() => load(address)).finally(() => {
    if (pending === fetching) pending = null;
  });
  return fetching;
}

async function load(address) {
  let asked = 0; // the pause for which the server asks, in seconds
  try {
    const options = { headers: { Accept: "text/html" }, signal: AbortSignal.timeout(PATIENCE) };
    const response = await fetch(address, options);
    if (response.ok) {
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      failures = 0;
      return page;
    }
    asked = Number(response.headers.get("Retry-After")) || 0;
  } catch { /* no answer */ }
  pause(asked * 1000);
  return null;
}

/** Begin no fetch for `asked` milliseconds or for a time that grows with each failure, whichever is longer. A random
 *  addition, at most half as long, spreads pages that failed together. */
function pause(asked) {
  const own = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** failures++);
  pauseUntil = performance.now() + Math.max(asked, own) * (1 + Math.random() / 2);
}

function wait(milliseconds) {
  return new Promise((resolve) => { setTimeout(resolve, milliseconds); });
}
