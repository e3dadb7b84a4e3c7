// The service worker of the tickets' pages: keeps the pages that were opened, so that they work without a network.
//
// It handles only requests of pages under /t/. It keeps these pages and their files, and nothing else. It asks the
// server first, except for a kept file that never changes. If the server does not answer in time, or answers with an
// error of its own, the worker answers with the kept copy: where there are many people, the network is often too slow
// to be useful.

const KEPT = "tickets-1";
const PAGE_PATIENCE = 4_000; // milliseconds to wait for the server's page before the kept page is shown
const FILE_PATIENCE = 1_000; // the same for a file that the page needs
const FOREVER = /\.[0-9a-f]{12}\.\w+$/; // a name with a hash of the file's content: such a file never changes

addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(take()));
addEventListener("message", (event) => event.waitUntil(keepAll(event.data.keep)));
addEventListener("fetch", (event) => {
  if (event.request.method === "GET" && isOurs(event.request.url)) event.respondWith(answer(event.request));
});

async function take() {
  for (const name of await caches.keys()) if (name.startsWith("tickets-") && name !== KEPT) await caches.delete(name);
  await clients.claim();
}

/** Return whether an address is that of a page of tickets, or of a file that such a page needs. */
function isOurs(address) {
  const { origin, pathname } = new URL(address);
  if (origin !== location.origin) return false;
  return isPage(pathname) || /^\/(static|translations|look|pictures)\//.test(pathname);
}

function isPage(pathname) {
  return pathname.startsWith("/t/") && !pathname.includes(".");
}

async function keepAll(addresses) {
  for (const address of addresses) {
    if (isOurs(address)) await answer(new Request(address)).catch(() => {});
  }
}

async function answer(request) {
  const cache = await caches.open(KEPT);
  const { pathname } = new URL(request.url);
  // A page that asks whether it is up to date gets no kept answer, so that it can say that there is no connection.
  const isPoll = request.destination === "" && isPage(pathname);
  const kept = isPoll ? undefined : await cache.match(request.url, { ignoreVary: true });
  if (kept && FOREVER.test(pathname)) return kept;
  const patience = isPage(pathname) ? PAGE_PATIENCE : FILE_PATIENCE;
  try {
    const response = await fetch(request, kept ? { signal: AbortSignal.timeout(patience) } : {});
    if (kept && response.status >= 500) return kept;
    if (response.ok) await cache.put(request.url, response.clone());
    else if (response.status === 404) await cache.delete(request.url, { ignoreVary: true });
    return response;
  } catch (unreachable) {
    if (!kept) throw unreachable;
    return kept;
  }
}
