// Fetches the open page anew, for what a frame does not carry.

let pending = null;

/** Fetch this page after a random wait of at most `within` milliseconds; return its document, or null.
 *
 * The wait spreads the requests of all open pages. Calls while one is under way share it. */
export function freshPage({ within }) {
  pending ??= wait(Math.random() * within).then(load).finally(() => { pending = null; });
  return pending;
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
