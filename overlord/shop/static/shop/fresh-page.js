// Fetches the open page again, for changes that a frame does not contain.

let pending = null; // the latest fetch: its address, when it begins, and the promise of its document

/** Fetch this page, or another `address`, as it is after this call; return its document, or null when that fails.
 *
 * A random wait of at most `within` milliseconds spreads the requests of all open pages. The server may give an answer
 * that it made up to `kept` milliseconds ago, so the fetch begins after that time. Calls share a fetch that begins late
 * enough for each of them. */
export function freshPage({ within, kept = 0, address = location.pathname + location.search }) {
  const soonest = performance.now() + kept;
  const isShared = pending?.address === address && pending.begins >= soonest;
  if (!isShared) pending = fetched(address, soonest + Math.random() * within);
  return pending.page;
}

function fetched(address, begins) {
  const fetching = { address, begins };
  fetching.page = wait(begins - performance.now()).then(() => load(address)).finally(() => {
    if (pending === fetching) pending = null;
  });
  return fetching;
}

async function load(address) {
  try {
    const response = await fetch(address, { headers: { Accept: "text/html" } });
    return response.ok ? new DOMParser().parseFromString(await response.text(), "text/html") : null;
  } catch {
    return null;
  }
}

function wait(milliseconds) {
  return new Promise((resolve) => { setTimeout(resolve, milliseconds); });
}
