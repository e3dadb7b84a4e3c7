// The work of a gate, without its page: scans go to the server. When the server does not answer, they are decided here,
// kept, and sent when the server is back. `DoorDesk` calls back when something changed.

import { DoorList } from "admission/door-list.js";
import { open } from "admission/door-store.js";
import { now } from "realtime/live.js";

const PATIENCE = 3_000; // for an answer to a scan, because people wait behind
const RETRY = 3_000;
const BATCH = 100;
const TOO_MANY = 429;
const NOT_ADMITTED = ["not_found", "not_admitted"]; // the server's codes where there is nothing to undo

export class DoorDesk {
  constructor({ event, gate, csrf, onNetwork, onConflict, onList, onNoPictures }) {
    Object.assign(this, { event, gate, csrf, onNetwork, onConflict, onList, onNoPictures });
    this.list = new DoorList(event);
    this.kept = [];
    this.isOffline = false;
  }

  async begin() {
    this.store = await open().catch(() => null);
    const known = await this.stored((store) => store.list(this.event));
    if (known) this.list.take(known);
    const kept = (await this.stored((store) => store.scans())) ?? [];
    this.kept = kept.map((scan) => ({ ...scan, isSent: true })); // perhaps, before the page was loaded again
    for (const { ticket, at, gate, isUndone } of this.kept) if (!isUndone) this.list.letIn.set(ticket, { at, gate });
    // Also with a network scans may wait: any answer says that it is back, and the server may refuse them for now.
    this.timer = setInterval(() => (this.isOffline || this.kept.length > 0) && this.renew(), RETRY);
    await this.renew();
  }

  end() {
    clearInterval(this.timer);
  }

  /** Scan a code or a serial; return the answer, with `result` "unchecked" if the person was let in without the server. */
  async scan(shown) {
    const scan = { scan_id: uuid(), gate: this.gate, event: this.event, at: new Date(now()).toISOString(), ...shown };
    const isSent = !this.isOffline;
    if (isSent) {
      const answer = await this.send("/door/scans/", scan);
      if (answer?.result === "admitted") this.list.letIn.set(answer.ticket.id, { at: scan.at, gate: scan.gate });
      if (answer !== null) return answer;
    }
    const answer = { scan_id: scan.scan_id, ...(await this.list.decide(shown)) };
    if (answer.result === "unchecked") await this.letIn({ ...scan, ticket: answer.ticket.id, isSent });
    return answer;
  }

  /** Keep what was let in. `isSent`: the server may have recorded it, though it did not answer. */
  async letIn(scan) {
    this.kept.push(scan);
    this.list.letIn.set(scan.ticket, { at: scan.at, gate: scan.gate });
    await this.stored((store) => store.keepScan(scan));
    this.onNetwork();
  }

  /** Do something with the store. Once it fails, as a full disk does, the door goes on without it, and says so. */
  async stored(work) {
    try {
      return this.store && (await work(this.store));
    } catch {
      this.store = null;
      return null;
    }
  }

  /** Take an admission back; return the scan, or the problem, or null when the server must answer and does not.
   *
   * One that is kept is taken back here at once. Where the server may have recorded it, it is told so later. */
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

  /** Send the kept scans, and read what is new in the list. One runs at a time; a call meanwhile runs it once more. */
  renew() {
    this.isDue = true;
    this.renewing ??= this.renewAll().finally(() => (this.renewing = undefined));
    return this.renewing;
  }

  async renewAll() {
    while (this.isDue) {
      this.isDue = false;
      await this.settle();
      await this.hear();
      if (this.isOffline) return; // it is tried again soon
    }
  }

  async settle() {
    for (const scan of this.kept.filter(({ isUndone }) => isUndone)) {
      const { undone_at: undone, code } = (await this.send(`/door/scans/${scan.scan_id}/undo/`, {})) ?? {};
      if (!undone && !NOT_ADMITTED.includes(code)) return;
      await this.forget([scan]);
    }
    while (this.toSend().length > 0) {
      const batch = this.toSend().slice(0, BATCH);
      for (const scan of batch) scan.isSent = true;
      const scans = batch.map(({ ticket: _ticket, isSent: _isSent, ...scan }) => scan);
      const answers = await this.send("/door/scans/batch/", { scans }, { patience: 20_000 });
      if (!Array.isArray(answers)) return;
      const undone = batch.filter(({ isUndone }) => isUndone); // meanwhile: the server is told so next time
      if (undone.length > 0) this.isDue = true;
      await this.forget(batch.filter(({ isUndone }) => !isUndone));
      for (const answer of answers) if (answer.result !== "admitted") this.onConflict(answer);
    }
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
    const before = [...this.list.letIn.keys()]; // what the answer says of these is newer than what this door did
    const news = await this.get(`/door/events/${this.event}/list/?since=${this.list.version}`);
    if (!Array.isArray(news?.tickets)) return;
    this.list.take(news);
    const kept = new Set(this.kept.map(({ ticket }) => ticket));
    for (const ticket of before) if (!kept.has(ticket)) this.list.letIn.delete(ticket);
    await this.stored((store) => store.keepList(this.event, news));
    this.onList();
  }

  get(path) {
    return this.answer(path, { patience: 20_000 });
  }

  send(path, body, { patience = PATIENCE } = {}) {
    const headers = { "Content-Type": "application/json", "X-CSRFToken": this.csrf };
    return this.answer(path, { method: "POST", headers, body: JSON.stringify(body), patience });
  }

  /** Read the code in a grey picture at the server; null when it sees none, or has looked too often just now. */
  async readPicture(grey, width) {
    const headers = { "Content-Type": "application/octet-stream", "X-CSRFToken": this.csrf };
    const answer = await this.answer(`/door/pictures/?width=${width}`, { method: "POST", headers, body: grey, patience: PATIENCE });
    if (answer?.status === undefined) return answer?.code ?? null;
    if (answer.status !== TOO_MANY) this.onNoPictures(answer); // a problem, which has a `code` too
    return null;
  }

  /** Return what the server answers, a problem too; null when it does not answer, and the door is offline then. */
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
