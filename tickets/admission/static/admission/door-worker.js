// The door's service worker: the door's page opens again without a network, as it was last. It keeps this page and its
// files, and nothing else; whatever is sent or asked goes to the server.

const CACHE = "door-1";
const PATIENCE = 4_000; // for the page, until the kept one is shown

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  const isPage = request.mode === "navigate" && url.pathname === "/door/";
  const isFile = /^\/(static|translations|look|pictures)\//.test(url.pathname);
  if (request.method !== "GET" || url.origin !== self.location.origin || !(isPage || isFile)) return;
  event.respondWith(isPage ? page(request) : file(request));
});

/** Answer with the server's page, or when it does not come, with the one that was kept. */
async function page(request) {
  const cache = await caches.open(CACHE);
  try {
    const answer = await fetch(request, { signal: AbortSignal.timeout(PATIENCE) });
    if (answer.status >= 500) throw new Error("The server cannot answer.");
    if (answer.ok) await cache.put(request, answer.clone());
    else if (answer.type === "opaqueredirect" || answer.status === 403) await caches.delete(CACHE); // logged out
    return answer;
  } catch (error) {
    const kept = (await cache.match(request)) ?? (await cache.match(request, { ignoreSearch: true }));
    if (kept) return kept;
    throw error;
  }
}

/** Answer with the server's file, or the kept one; names of files change with their content. */
async function file(request) {
  const cache = await caches.open(CACHE);
  const isForever = /\.[0-9a-f]{12}\.\w+$/.test(new URL(request.url).pathname);
  const kept = await cache.match(request);
  if (kept && isForever) return kept;
  try {
    const answer = await fetch(request);
    if (answer.ok) await cache.put(request, answer.clone());
    return answer;
  } catch (error) {
    if (kept) return kept;
    throw error;
  }
}
