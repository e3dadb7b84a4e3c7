// The live streams of this site, for its pages. `docs/realtime.md` describes what is spoken.
//
//   import { follow, now } from "/static/realtime/live.js";
//   const stream = follow("/ws/events/12/", { onState: (event) => show(event), onStatus: (status) => badge(status) });
//
// onState(data, frame)     the whole state, each time it is newer than the one before
// onStatus(status, code)   "live" | "reconnecting" | "stale" | "closed"; only "live" is known to be true now.
//                          "closed" is for good and comes with its code: 4401, 4403 or 4404.
// onNotice(data, frame)    advice beside the state: `expiring` on /ws/me/

const PROTOCOL = "overlord.v1";
const FINAL = new Set([4401, 4403, 4404]); // trying again would change nothing
const SILENCE = 2.5 * 15_000; // heartbeats come every 15 s
const PATIENCE = 10_000; // for a connection and its first frame, and for the answer to a resync
const FIRST_WAIT = 500;
const LONGEST_WAIT = 30_000;
const STEADY = 5_000; // live for so long, and the waits begin anew
const RESYNC_EVERY = 1_000; // the server answers no more

// The server's clock. A frame is always late, so the smallest difference ever seen is the nearest to the truth.
// It is forgotten after a while, for clocks drift, and when this machine's clock was set.
const REMEMBERED = 300_000;
let least = null;

function hearTime(text) {
  const difference = Date.now() - Date.parse(text);
  const epoch = Date.now() - performance.now();
  const old = least === null || performance.now() - least.at > REMEMBERED || Math.abs(epoch - least.epoch) > 500;
  if (Number.isFinite(difference) && (old || difference < least.difference)) {
    least = { difference, epoch, at: performance.now() };
  }
}

/** Will give the server's time, in milliseconds since 1970: never ahead of it, and behind by the way of a frame. */
export function now() {
  return Date.now() - (least?.difference ?? 0);
}

/** Will show a stream until it is closed: `{ close(), resync() }`. */
export function follow(path, handlers = {}) {
  const stream = new Stream(path, handlers);
  stream.begin();
  return { close: () => stream.end("closed"), resync: () => stream.wake() };
}

class Stream {
  constructor(path, { onState, onStatus, onNotice }) {
    this.url = new URL(path, globalThis.location.href);
    this.url.protocol = this.url.protocol === "https:" ? "wss:" : "ws:";
    this.handlers = { onState, onStatus, onNotice };
    this.version = -1;
    this.status = null;
    this.failures = 0;
    this.socket = null;
    this.liveSince = null;
    this.askedAt = -Infinity;
    this.over = false;
    this.wake = this.wake.bind(this);
  }

  begin() {
    for (const [target, name] of wakers()) target.addEventListener(name, this.wake);
    this.say("reconnecting");
    this.connect();
  }

  end(status, code) {
    if (this.over) return;
    this.over = true;
    for (const [target, name] of wakers()) target.removeEventListener(name, this.wake);
    this.drop();
    this.say(status, code);
  }

  connect() {
    this.drop();
    const socket = new WebSocket(this.url.href, [PROTOCOL]);
    this.socket = socket;
    this.expect(PATIENCE);
    socket.onmessage = ({ data }) => this.hear(data);
    socket.onclose = ({ code }) => (FINAL.has(code) ? this.end("closed", code) : this.lose("reconnecting"));
  }

  /** Will let go of the socket and of what waits; nothing of it is heard any more. */
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
    if (hidden()) return; // nobody looks: it connects when somebody does, so that no storm comes from sleeping tabs
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
    hearTime(frame.server_time);
    if (frame.type === "snapshot" || frame.type === "update") this.replace(frame);
    else if (frame.type === "heartbeat") this.compare(frame);
    else this.handlers.onNotice?.(frame.data, frame);
  }

  replace(frame) {
    this.liveSince ??= performance.now();
    if (frame.version > this.version) {
      this.version = frame.version;
      this.handlers.onState?.(frame.data, frame);
    }
    this.say("live");
  }

  /** A heartbeat says what we should hold, and whether the server itself hears of changes. */
  compare(frame) {
    if (frame.version > this.version) this.ask();
    if (this.liveSince !== null) this.say(frame.data?.live === false ? "stale" : "live");
  }

  ask() {
    if (this.socket?.readyState !== WebSocket.OPEN || performance.now() - this.askedAt < RESYNC_EVERY) return;
    this.askedAt = performance.now();
    this.socket.send('{"type":"resync"}');
    this.expect(PATIENCE);
  }

  /** Somebody looks again, or the network is back: ask for the state, or connect without waiting longer. */
  wake() {
    if (this.over || hidden()) return;
    if (this.socket === null) this.connect();
    else this.ask();
  }

  say(status, code) {
    if (status === this.status) return;
    this.status = status;
    this.handlers.onStatus?.(status, code);
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
