// Follows live streams, for the pages of this site. It runs once in each page; all streams of the page share its
// estimate of the server's clock. `docs/realtime.md` describes the protocol.
//
//   import { follow, now } from "/static/realtime/live.js";
//   const stream = follow("/ws/events/12/", { onState: (event) => show(event), onStatus: (status) => badge(status) });
//
// onState(data, frame)     called with the whole state, each time a newer one comes. On /ws/me/, `frame.stream` changes
//                          when another user has logged in in this browser
// onStatus(status, code, currentAt)
//                          called when the status changes: "live" | "reconnecting" | "stale" | "closed". The state is
//                          known to be current only while the status is "live". "closed" is final. Its code is 4401,
//                          4403 or 4404, or undefined after close(). `currentAt` is when the state was last known to
//                          be current, in milliseconds as `now()` gives them; undefined before the first frame.
// onAdvice(data, frame)    called with advice, which does not change the state: `expiring` on /ws/me/

const PROTOCOL = "overlord.v1";
const NOT_LOGGED_IN = 4401;
const NOT_ALLOWED = 4403;
export const NO_SUCH_STREAM = 4404;
const FINAL = new Set([NOT_LOGGED_IN, NOT_ALLOWED, NO_SUCH_STREAM]); // a reconnect would change nothing
// Times are in milliseconds.
const SILENCE = 2.5 * 15_000; // without any frame, a connection counts as dead. Heartbeats come every 15 s
const PATIENCE = 10_000; // the longest wait for a connection with its first frame, or for the answer to a resync
const FIRST_WAIT = 500; // the longest wait before the first reconnect; it doubles at each further one
const LONGEST_WAIT = 30_000;
const STEADY = 5_000; // after this time live, the next reconnect counts as a first one again
const RESYNC_EVERY = 1_000; // the server does not answer more often
const AT_ONCE = 1_000; // the longest time between a snapshot and the heartbeat that says that the snapshot may be old

// The difference between this machine's clock and the server's. A frame always takes some time to arrive, so the
// smallest difference seen is the best estimate. The estimate is forgotten after a while, because clocks drift, and
// also when somebody sets this machine's clock.
const REMEMBERED = 300_000;
let least = null;

/** Improve the estimate by a time that the server wrote, an ISO text, and that arrived `age` milliseconds ago. */
export function hearTime(text, age = 0) {
  const difference = Date.now() - age - Date.parse(text);
  const epoch = Date.now() - performance.now();
  const old = least === null || performance.now() - least.at > REMEMBERED || Math.abs(epoch - least.epoch) > 500;
  if (Number.isFinite(difference) && (old || difference < least.difference)) {
    least = { difference, epoch, at: performance.now() };
  }
}

/** Return the server's time in milliseconds since 1970: not ahead of the server, and late by a frame's travel time. */
export function now() {
  return Date.now() - (least?.difference ?? 0);
}

/** Follow a stream until it is closed; return `{ close(), resync() }`. */
export function follow(path, handlers = {}) {
  const stream = new Stream(path, handlers);
  stream.begin();
  return { close: () => stream.end("closed"), resync: () => stream.wake() };
}

class Stream {
  constructor(path, { onState, onStatus, onAdvice }) {
    this.url = new URL(path, globalThis.location.href);
    this.url.protocol = this.url.protocol === "https:" ? "wss:" : "ws:";
    this.handlers = { onState, onStatus, onAdvice };
    this.name = null; // of the stream, from its frames
    this.version = -1;
    this.status = null;
    this.failures = 0;
    this.socket = null;
    this.liveSince = null;
    this.heardAt = null; // from Date.now(), because performance.now() may stand still while a phone sleeps
    this.currentAt = undefined;
    this.snapshot = null; // if the newest frame is a snapshot: when it was sent, and `currentAt` before it
    this.askedAt = -Infinity;
    this.over = false;
    this.wake = this.wake.bind(this);
    this.goOffline = this.goOffline.bind(this);
  }

  begin() {
    for (const [target, name] of wakers()) target.addEventListener(name, this.wake);
    globalThis.window?.addEventListener("offline", this.goOffline);
    this.say("reconnecting");
    this.connect();
  }

  end(status, code) {
    if (this.over) return;
    this.over = true;
    for (const [target, name] of wakers()) target.removeEventListener(name, this.wake);
    globalThis.window?.removeEventListener("offline", this.goOffline);
    this.drop();
    this.say(status, code);
  }

  connect() {
    this.drop();
    const socket = new WebSocket(this.url.href, [PROTOCOL]);
    this.socket = socket;
    this.expect(PATIENCE);
    socket.onmessage = ({ data }) => this.hear(data);
    socket.onclose = ({ code }) => (this.isFinal(code) ? this.end("closed", code) : this.lose("reconnecting"));
  }

  /** Return whether a reconnect would change nothing. A 4401 is final only before the first frame: later it may mean
   *  that the user logged in again or has a new password, and then the browser has a new session. */
  isFinal(code) {
    return FINAL.has(code) && !(code === NOT_LOGGED_IN && this.liveSince !== null);
  }

  /** Close the socket, ignore what still comes from it, and stop the timers. */
  drop() {
    clearTimeout(this.silence);
    clearTimeout(this.retry);
    this.retry = null;
    if (this.socket === null) return;
    this.socket.onmessage = this.socket.onclose = null;
    this.socket.close();
    this.socket = null;
  }

  lose(status) {
    if (this.liveSince !== null && performance.now() - this.liveSince > STEADY) this.failures = 0;
    this.liveSince = null;
    this.drop();
    this.say(status);
    if (hidden()) return; // a hidden page connects when it is shown, so that sleeping tabs cause no rush
    const longest = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.failures++);
    this.retry = setTimeout(() => this.connect(), Math.random() * longest);
  }

  expect(within) {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.lose(this.liveSince === null ? "reconnecting" : "stale"), within);
  }

  hear(text) {
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return;
    }
    this.expect(SILENCE);
    this.heardAt = Date.now();
    hearTime(frame.server_time);
    if (frame.type === "snapshot" || frame.type === "update") this.replace(frame);
    else if (frame.type === "heartbeat") this.compare(frame);
    else this.handlers.onAdvice?.(frame.data, frame);
  }

  replace(frame) {
    this.liveSince ??= performance.now();
    if (frame.stream !== this.name) this.version = -1; // versions are compared within one stream
    this.name = frame.stream;
    if (frame.version > this.version) {
      this.version = frame.version;
      this.handlers.onState?.(frame.data, frame);
    }
    this.snapshot = frame.type === "snapshot" ? { sentAt: Date.parse(frame.server_time), before: this.currentAt } : null;
    this.say("live");
    this.currentAt = now();
  }

  /** Use a heartbeat: it has the version that we should have, and says whether changes get through. While they do not,
   *  the server sends a heartbeat at once after each snapshot: the snapshot may be as old as the state before it. */
  compare(frame) {
    const isLive = frame.data?.live !== false;
    const wasOld = !isLive && Date.parse(frame.server_time) - this.snapshot?.sentAt < AT_ONCE;
    if (wasOld) this.currentAt = this.snapshot.before;
    this.snapshot = null;
    if (frame.version > this.version) this.ask();
    else if (isLive && this.liveSince !== null) this.currentAt = now();
    if (this.liveSince !== null) this.say(isLive ? "live" : "stale");
  }

  ask() {
    if (this.socket?.readyState !== WebSocket.OPEN || performance.now() - this.askedAt < RESYNC_EVERY) return;
    this.askedAt = performance.now();
    this.socket.send('{"type":"resync"}');
    this.expect(PATIENCE);
  }

  /** The page is shown again, or the network is back: connect now, or ask an open connection for a snapshot. */
  wake(event) {
    if (this.over || hidden()) return;
    if (this.liveSince !== null && Date.now() - this.heardAt > SILENCE) this.lose("reconnecting"); // the page slept
    if (this.socket === null || (event?.type === "online" && this.liveSince === null)) this.connect();
    else this.ask();
  }

  /** Drop the connection, because the network is gone. The socket alone would notice only after SILENCE. */
  goOffline() {
    if (!this.over) this.lose("reconnecting");
  }

  say(status, code) {
    if (status === this.status) return;
    this.status = status;
    this.handlers.onStatus?.(status, code, this.currentAt);
  }
}

function hidden() {
  return globalThis.document?.visibilityState === "hidden";
}

function wakers() {
  if (!globalThis.document) return [];
  return [
    [document, "visibilitychange"],
    [window, "pageshow"],
    [window, "focus"],
    [window, "online"],
  ];
}
