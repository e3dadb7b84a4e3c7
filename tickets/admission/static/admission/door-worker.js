// The door's service worker: it opens the kept page of a gate without a network, and keeps the files of the page. The
// copy of the page, without names, is kept by the page itself (door-page.js). All other requests go to the server.

const CACHE = "door-2";
const FORMER = ["door-1"]; // a cache of an earlier release. Its pages contain names of people
const PATIENCE = 4_000; // milliseconds to wait for the server's page before the kept page is shown

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => {
  event.waitUntil(Promise.all([self.clients.claim(), ...FORMER.map((name) => caches.delete(name))]));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  const isPage = request.mode === "navigate" && url.pathname === "/door/";
  const isFile = /^\/(static|translations|look|pictures)\//.test(url.pathname);
  if (request.method !== "GET" || url.origin !== self.location.origin || !(isPage || isFile)) return;
  event.respondWith(isPage ? page(request) : file(request));
});

/** Answer with the server's page; if it does not come, with the kept page. */
async function page(request) {
  const cache = await caches.open(CACHE);
  const asked = new URL(request.url).searchParams;
  try {
    const answer = await fetch(request, { signal: AbortSignal.timeout(PATIENCE) });
    if (answer.status >= 500) throw new Error("The server cannot answer.");
    if (answer.type === "opaqueredirect" || answer.status === 403) await caches.delete(CACHE); // logged out
    return answer;
  } catch (error) {
    const kept = await keptPage(cache, asked);
    if (kept) return kept;
    throw error;
  }
}

/** Return the kept page of this gate, else the newest of this event; if no event is asked for, the newest of all. */
async function keptPage(cache, asked) {
  const pages = (await cache.keys()).filter(({ url }) => new URL(url).pathname === "/door/").reverse();
  const of = (...names) =>
    pages.find(({ url }) => {
      const { searchParams } = new URL(url);
      return names.every((name) => searchParams.get(name) === asked.get(name));
    });
  const found = of("event", "gate") ?? (asked.has("event") ? of("event") : of());
  return found && cache.match(found);
}

/** Answer with the server's file or the kept one. A file whose name has a hash never changes. */
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
