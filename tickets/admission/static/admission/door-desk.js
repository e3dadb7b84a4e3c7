// The work of a gate, without its page. Scans go to the server. If the server does not answer, they are decided here,
// kept, and sent when the server answers again. `DoorDesk` calls the functions of its page when something has changed.

import { DoorList } from "admission/door-list.js";
import { open } from "admission/door-store.js";
import { now } from "realtime/live.js";

const PATIENCE = 3_000; // milliseconds to wait for the answer to a scan; not longer, because people are waiting
const RETRY = 3_000; // milliseconds
const BATCH = 100; // scans in one request
const TOO_MANY = 429;
const NOT_ADMITTED = ["not_found", "not_admitted"]; // the server's errors when there is nothing to undo

export class DoorDesk {
  constructor({ event, gate, csrf, onNetwork, onConflict, onList, onNoPictures }) {
    Object.assign(this, { event, gate, csrf, onNetwork, onConflict, onList, onNoPictures });
    this.list = new DoorList(event);
    this.kept = [];
    this.isOffline = false;
    this.isResting = false; // another page of this browser works: this one sends nothing and lets nobody in
    this.refusal = null; // the server's answer that refuses the kept scans for now, if it does
  }

  async begin() {
    this.remembered = this.remember();
    await this.remembered;
    // Scans may wait even while there is a network: the answer to another request has shown that the network is back,
    // or the server refused the scans.
    this.timer = setInterval(() => (this.isOffline || this.kept.length > 0) && this.renew(), RETRY);
    await this.renew();
  }

  rest() {
    this.isResting = true;
  }

  /** Work again, with the list and the scans as the page that worked meanwhile has left them. */
  async resume() {
    this.isResting = false;
    this.remembered = this.remember();
    await this.remembered;
    this.onNetwork();
    this.renew();
  }

  /** Take the list and the scans that this browser keeps. A store that failed is not asked again. */
  async remember() {
    if (this.store === undefined) this.store = await open().catch(() => null);
    const known = await this.stored((store) => store.list(this.event));
    if (known) this.list.take(known);
    const scans = await this.stored((store) => store.scans());
    if (!scans) return;
    // The objects of the scans stay the same, because `settle` may be sending some of them.
    const before = new Map(this.kept.map((scan) => [scan.scan_id, scan]));
    for (const { ticket } of this.kept) this.list.letIn.delete(ticket);
    // These scans were perhaps sent: before this page was loaded again, or by another page.
    this.kept = scans.map((scan) => Object.assign(before.get(scan.scan_id) ?? {}, scan, { isSent: true }));
    for (const { ticket, at, gate, isUndone } of this.kept) if (!isUndone) this.list.letIn.set(ticket, { at, gate });
  }

  end() {
    clearInterval(this.timer);
  }

  /** Scan a code or a serial; return the answer. Its `result` is "unchecked" if the holder is let in without the
   *  server. Return null if the server did not answer and another page works now, because that page would not know who
   *  was let in here. */
  async scan(shown) {
    const scan = { scan_id: uuid(), gate: this.gate, event: this.event, at: new Date(now()).toISOString(), ...shown };
    const isSent = !this.isOffline;
    if (isSent) {
      const answer = await this.send("/door/scans/", scan);
      if (answer?.result === "admitted") this.list.letIn.set(answer.ticket.id, { at: scan.at, gate: scan.gate });
      if (answer !== null) return answer;
    }
    await this.remembered; // without its list, a page that was just loaded would refuse each ticket
    const answer = { scan_id: scan.scan_id, ...(await this.list.decide(shown)) };
    if (this.isResting) return null;
    const first = answer.result === "unchecked" && this.list.letIn.get(answer.ticket.id); // let in meanwhile
    if (first) return { ...answer, result: "already_admitted", first };
    if (answer.result === "unchecked") await this.letIn({ ...scan, ticket: answer.ticket.id, isSent });
    return answer;
  }

  /** Keep the scan of a person who was let in. `isSent`: the server may have recorded it without an answer. */
  async letIn(scan) {
    this.kept.push(scan);
    this.list.letIn.set(scan.ticket, { at: scan.at, gate: scan.gate });
    await this.stored((store) => store.keepScan(scan));
    this.onNetwork();
  }

  /** Do `work` with the store. If that fails, for example on a full disk, the door continues without a store. */
  async stored(work) {
    try {
      return this.store && (await work(this.store));
    } catch {
      this.store = null;
      return null;
    }
  }

  /** Undo an admission; return the scan or the problem. Return null if the server must decide and does not answer.
   *
   * A scan that is kept here is undone here at once. If the server may have recorded it, the undo is sent later. */
  async undo(scanId) {
    const scan = this.kept.find(({ scan_id: id }) => id === scanId);
    if (scan === undefined) {
      const undone = await this.send(`/door/scans/${scanId}/undo/`, {});
      if (undone?.undone_at) this.list.letIn.delete(undone.ticket.id);
      return undone;
    }
    this.list.letIn.delete(scan.ticket);
    if (scan.isSent) {
      scan.isUndone = true;
      await this.stored((store) => store.keepScan(scan));
    } else await this.forget([scan]);
    return { scan_id: scanId, result: "admitted", undone_at: scan.at };
  }

  /** Send the kept scans, and read the changes of the list. If this runs already, it runs once more afterwards. */
  renew() {
    this.isDue = true;
    this.renewing ??= this.renewAll().finally(() => (this.renewing = undefined));
    return this.renewing;
  }

  async renewAll() {
    while (this.isDue && !this.isResting) {
      this.isDue = false;
      await this.settle();
      await this.hear();
      if (this.isOffline) return; // the timer tries again soon
    }
  }

  /** Send what is kept. An undo that the server refuses does not hold up the scans. */
  async settle() {
    const refusals = [];
    for (const scan of this.kept.filter(({ isUndone }) => isUndone)) {
      const answer = await this.send(`/door/scans/${scan.scan_id}/undo/`, {});
      if (answer === null) return;
      if (answer.undone_at || NOT_ADMITTED.includes(answer.code)) await this.forget([scan]);
      else refusals.push(answer);
    }
    while (this.toSend().length > 0 && !this.isResting) {
      const batch = this.toSend().slice(0, BATCH);
      for (const scan of batch) scan.isSent = true;
      const scans = batch.map(({ ticket: _ticket, isSent: _isSent, ...scan }) => scan);
      const answers = await this.send("/door/scans/batch/", { scans }, { patience: 20_000 });
      if (answers === null) return;
      if (!Array.isArray(answers)) {
        refusals.push(answers);
        break;
      }
      const undone = batch.filter(({ isUndone }) => isUndone); // while they were sent: the next round sends this
      if (undone.length > 0) this.isDue = true;
      await this.forget(batch.filter(({ isUndone }) => !isUndone));
      for (const [nth, answer] of answers.entries()) {
        if (answer.result !== "admitted") this.onConflict({ ...answer, ticket: answer.ticket ?? this.list.known(batch[nth]) });
      }
    }
    [this.refusal = null] = refusals;
    this.onNetwork();
  }

  toSend() {
    return this.kept.filter(({ isUndone }) => !isUndone);
  }

  async forget(scans) {
    const ids = scans.map(({ scan_id: id }) => id);
    this.kept = this.kept.filter(({ scan_id: id }) => !ids.includes(id)); // first, so that none is sent meanwhile
    await this.stored((store) => store.forgetScans(ids));
    this.onNetwork();
  }

  async hear() {
    const before = [...this.list.letIn.keys()]; // the answer has these, unless their scans are still kept here
    const news = await this.get(`/door/events/${this.event}/list/?since=${this.list.version}`);
    if (!Array.isArray(news?.tickets) || this.isResting) return;
    this.list.take(news);
    const kept = new Set(this.kept.map(({ ticket }) => ticket));
    for (const ticket of before) if (!kept.has(ticket)) this.list.letIn.delete(ticket);
    const isKept = await this.stored((store) => store.keepList(this.event, news));
    if (isKept === false) { // the browser has no list to which these changes belong: ask for the whole list
      this.list.version = 0;
      this.isDue = true;
    }
    this.onList();
  }

  get(path) {
    return this.answer(path, { patience: 20_000 });
  }

  send(path, body, { patience = PATIENCE } = {}) {
    const headers = { "Content-Type": "application/json", "X-CSRFToken": this.csrf };
    return this.answer(path, { method: "POST", headers, body: JSON.stringify(body), patience });
  }

  /** Let the server read the code in a grey picture. Return null if it finds none, or was asked too often just now. */
  async readPicture(grey, width) {
    const headers = { "Content-Type": "application/octet-stream", "X-CSRFToken": this.csrf };
    const answer = await this.answer(`/door/pictures/?width=${width}`, { method: "POST", headers, body: grey, patience: PATIENCE });
    if (answer?.status === undefined) return answer?.code ?? null;
    if (answer.status !== TOO_MANY) this.onNoPictures(answer); // a problem, whose `code` is that of the error
    return null;
  }

  /** Return the server's answer, which may be a problem. Return null if no answer comes; then the door is offline. */
  async answer(path, { patience, ...options }) {
    try {
      const answer = await fetch(path, {
        ...options,
        headers: { Accept: "application/json", ...options.headers },
        signal: AbortSignal.timeout(patience),
      });
      if (answer.status >= 500) throw new Error(`The server answers ${answer.status}.`);
      const said = await answer.json();
      this.setOffline(false);
      return said;
    } catch {
      this.setOffline(true);
      return null;
    }
  }

  setOffline(isOffline) {
    if (this.isOffline === isOffline) return;
    this.isOffline = isOffline;
    this.onNetwork();
  }
}

function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
