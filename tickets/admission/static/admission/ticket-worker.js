// The service worker of the tickets' pages: keeps what was seen of them, so that they show without a network.
//
// It sees requests of pages under /t/ only. It keeps those pages and the files that they need, and nothing else: newest
// first from the server, from what is kept when the server cannot be reached.

const KEPT = "tickets-1";

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

/** Tell whether an address is of a page of tickets or of a file that it needs. */
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
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(request.url, response.clone());
    else if (response.status === 404) await cache.delete(request.url, { ignoreVary: true });
    return response;
  } catch (unreachable) {
    // A page that asks whether it is still right gets no kept answer: it says that there is no connection.
    const isPoll = request.destination === "" && isPage(new URL(request.url).pathname);
    const kept = isPoll ? undefined : await cache.match(request.url, { ignoreVary: true });
    if (!kept) throw unreachable;
    return kept;
  }
}
