// Fetches the open page anew, for what a frame does not carry.

let pending = null; // the latest fetch: of which address, when it begins, and its page

/** Fetch this page, or another `address`, no older than this call; return its document, or null when it cannot be had.
 *
 * A random wait of at most `within` milliseconds spreads the requests of all open pages. `kept` says for how many
 * milliseconds the server gives visitors an answer that it has made: the fetch begins after that. Calls share a fetch that
 * begins late enough for each of them. */
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
