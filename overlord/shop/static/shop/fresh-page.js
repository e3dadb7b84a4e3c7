// Fetches the open page anew, for what a frame does not carry.

let pending = null; // the latest fetch: when it begins, and its page

/** Fetch this page, no older than this call; return its document, or null when it cannot be had.
 *
 * A random wait of at most `within` milliseconds spreads the requests of all open pages. `kept` says for how many
 * milliseconds the server gives visitors an answer that it has made: the fetch begins after that. Calls share a fetch that
 * begins late enough for each of them. */
export function freshPage({ within, kept = 0 }) {
  const soonest = performance.now() + kept;
  if (pending === null || pending.begins < soonest) pending = fetched(soonest + Math.random() * within);
  return pending.page;
}

function fetched(begins) {
  const fetching = { begins };
  fetching.page = wait(begins - performance.now()).then(load).finally(() => {
    if (pending === fetching) pending = null;
  });
  return fetching;
}

async function load() {
  try {
    const response = await fetch(location.pathname + location.search, { headers: { Accept: "text/html" } });
    return response.ok ? new DOMParser().parseFromString(await response.text(), "text/html") : null;
  } catch {
    return null;
  }
}

function wait(milliseconds) {
  return new Promise((resolve) => { setTimeout(resolve, milliseconds); });
}
