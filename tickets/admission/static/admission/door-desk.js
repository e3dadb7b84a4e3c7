// What happens at a gate, without its page: scans go to the server, or are decided here when it does not answer; what
// is decided here is kept, and settled when the server is back. `DoorDesk` calls back when something changed.

import { DoorList } from "admission/door-list.js";
import { open } from "admission/door-store.js";
import { now } from "realtime/live.js";

const PATIENCE = 3_000; // for an answer to a scan: a queue waits
const RETRY = 3_000;
const BATCH = 100;

export class DoorDesk {
  constructor({ event, gate, csrf, onNetwork, onConflict, onList }) {
    Object.assign(this, { event, gate, csrf, onNetwork, onConflict, onList });
    this.list = new DoorList(event);
    this.kept = [];
    this.isOffline = false;
  }

  async begin() {
    this.store = await open().catch(() => null);
    const known = await this.store?.list(this.event);
    if (known) this.list.take(known);
    this.kept = (await this.store?.scans()) ?? [];
    for (const { ticket, at, gate } of this.kept) this.list.letIn.set(ticket, { at, gate });
    this.timer = setInterval(() => this.isOffline && this.renew(), RETRY);
    await this.renew();
  }

  end() {
    clearInterval(this.timer);
  }

  /** Scan a code or a serial; return the answer, with `result` "unchecked" for what was let in without the server. */
  async scan(shown) {
    const scan = { scan_id: uuid(), gate: this.gate, event: this.event, at: new Date(now()).toISOString(), ...shown };
    if (!this.isOffline) {
      const answer = await this.send("/door/scans/", scan);
      if (answer !== null) return answer;
    }
    const answer = { scan_id: scan.scan_id, ...(await this.list.decide(shown)) };
    if (answer.result === "unchecked") await this.letIn({ ...scan, ticket: answer.ticket.id });
    return answer;
  }

  async letIn(scan) {
    this.kept.push(scan);
    this.list.letIn.set(scan.ticket, { at: scan.at, gate: scan.gate });
    await this.store?.keepScan(scan);
    this.onNetwork();
  }

  /** Take an admission back; return the scan, or the problem. One that is not settled is only forgotten. */
  async undo(scanId) {
    const kept = this.kept.find(({ scan_id: id }) => id === scanId);
    if (kept !== undefined) {
      await this.forget([kept]);
      return { scan_id: scanId, result: "admitted", undone_at: kept.at };
    }
    return this.send(`/door/scans/${scanId}/undo/`, {});
  }

  /** Settle what is kept, and hear what is new. Only one of these runs at a time. */
  async renew() {
    this.renewing ??= this.settle()
      .then(() => this.hear())
      .finally(() => (this.renewing = undefined));
    return this.renewing;
  }

  async settle() {
    while (this.kept.length > 0) {
      const batch = this.kept.slice(0, BATCH);
      const scans = batch.map(({ ticket: _, ...scan }) => scan);
      const answers = await this.send("/door/scans/batch/", { scans }, { patience: 20_000 });
      if (!Array.isArray(answers)) return;
      await this.forget(batch);
      for (const answer of answers) if (answer.result !== "admitted") this.onConflict(answer);
    }
  }

  async forget(scans) {
    const ids = scans.map(({ scan_id: id }) => id);
    await this.store?.forgetScans(ids);
    this.kept = this.kept.filter(({ scan_id: id }) => !ids.includes(id));
    for (const { ticket } of scans) this.list.letIn.delete(ticket);
    this.onNetwork();
  }

  async hear() {
    const news = await this.get(`/door/events/${this.event}/list/?since=${this.list.version}`);
    if (!Array.isArray(news?.tickets)) return;
    this.list.take(news);
    await this.store?.keepList(this.event, news);
    this.onList();
  }

  get(path) {
    return this.answer(path, { patience: 20_000 });
  }

  send(path, body, { patience = PATIENCE } = {}) {
    const headers = { "Content-Type": "application/json", "X-CSRFToken": this.csrf };
    return this.answer(path, { method: "POST", headers, body: JSON.stringify(body), patience });
  }

  /** Read the code in a grey picture at the server. */
  async readPicture(grey, width) {
    const headers = { "Content-Type": "application/octet-stream", "X-CSRFToken": this.csrf };
    const answer = await this.answer(`/door/pictures/?width=${width}`, { method: "POST", headers, body: grey, patience: PATIENCE });
    return answer?.code;
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
