// Fetches the open page again, for changes that a frame does not contain.

const PATIENCE = 30_000; // milliseconds for an answer
const FIRST_PAUSE = 3_000; // after a failure; each further one doubles it
const LONGEST_PAUSE = 60_000; // unless the server asks for more

let pending = null; // the latest fetch: its address, when it begins, and the promise of its document
let failures = 0; // since the last page
let pauseUntil = -Infinity;

/** Fetch this page, or another `address`, as it is after this call; return its document, or null when that fails.
 *
 * A random wait of at most `within` milliseconds spreads the requests of all open pages. The server may give an answer
 * that it made up to `kept` milliseconds ago, so the fetch begins after that time. Calls share a fetch that begins late
 * enough for each of them. After a failure no fetch begins for a while. */
export function freshPage({ within, kept = 0, address = location.pathname + location.search }) {
  const soonest = performance.now() + kept;
  const isShared = pending?.address === address && pending.begins >= soonest;
  if (!isShared) pending = fetched(address, Math.max(soonest + Math.random() * within, pauseUntil));
  return pending.page;
}

/** Return for how many more milliseconds no fetch begins, after a failure. */
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
  let asked = 0; // seconds
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

/** Begin no fetch for a while, longer after each failure. The random part spreads pages that failed together. */
function pause(asked) {
  const own = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** failures++);
  pauseUntil = performance.now() + Math.max(asked, own) * (1 + Math.random() / 2);
}

function wait(milliseconds) {
  return new Promise((resolve) => { setTimeout(resolve, milliseconds); });
}
