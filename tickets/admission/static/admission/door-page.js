// <door-page event="7" gate="North">: the page of a gate. It answers scans by camera, by scanner and by hand without
// loading again, and also without a network.

import { Camera } from "admission/camera.js";
import { isCode } from "admission/codes.js";
import { DoorDesk } from "admission/door-desk.js";
import { recall, remember } from "admission/door-store.js";
import { OnePage } from "admission/one-page.js";
import { signal, wakeSound } from "admission/signals.js";
import { NO_SUCH_STREAM, follow, now } from "realtime/live.js";
import { dateTime, gettext, ngettext, number, setText, timeOrDate, timeToTheSecond } from "shop/formats.js";

const FILES = /^\/(static|translations|look|pictures)\//; // the files of the page; door-worker.js has the same pattern
const NEWEST = 50; // lines in the list of answers
const LONGEST = 300; // characters of a text that the server takes; no code of a ticket is longer
const SAME_CODE = 4_000; // milliseconds during which the camera does not scan the same code again
const KINDS = { admitted: "good", unchecked: "maybe", undone: "maybe" };

class DoorPage extends HTMLElement {
  async connectedCallback() {
    this.labels = JSON.parse(this.getAttribute("labels"));
    this.panel = this.querySelector(".answer");
    const event = Number(this.getAttribute("event"));
    this.desk = new DoorDesk({
      event,
      gate: this.getAttribute("gate"),
      csrf: this.querySelector("[name=csrfmiddlewaretoken]").value,
      onNetwork: () => this.showNetwork(),
      onConflict: (answer) => this.showConflict(answer),
      onList: () => this.showNetwork(),
      onNoPictures: (problem) => this.refuseCamera(problem),
    });
    this.onePage = new OnePage({ onWork: () => this.work(), onRest: () => this.rest() });
    this.waiting = new Map(); // for each scan without an answer, by its text: the number of the newest question for it
    this.addEventListener("submit", (submitted) => this.submit(submitted));
    for (const touch of ["pointerdown", "keydown"]) {
      this.addEventListener(touch, wakeSound);
      this.addEventListener(touch, () => this.onePage.takeOver());
    }
    this.prepareCamera();
    this.onePage.begin();
    this.sayUnsearched();
    this.input.focus();
    await this.desk.begin();
    this.stream = follow(`/ws/door/${event}/`, {
      onState: (state) => this.showState(state),
      onStatus: (...said) => this.hear(...said),
    });
    this.dataset.ready = "yes";
    await this.keepPage();
  }

  /** Show a status of the stream. If the stream no longer exists, say so, because the counts no longer change. */
  hear(status, code, currentAt) {
    this.querySelector("live-badge").show(status, currentAt);
    if (status === "live" && this.desk.isOffline) this.desk.renew();
    if (code === NO_SUCH_STREAM) this.querySelector(".removed").hidden = false;
  }

  disconnectedCallback() {
    this.onePage.end();
    this.desk.end();
    this.stream?.close();
    this.camera?.close();
  }

  get input() {
    return this.querySelector("#shown");
  }

  // One of several pages ----------------------------------------------------------------------------------
  /** Rest, because another page of this browser works: let nobody in, and send nothing. */
  rest() {
    this.desk.rest();
    this.reopens = this.camera?.isOpen;
    if (this.reopens) this.toggleCamera();
    this.querySelector(".resting").hidden = false;
  }

  async work() {
    this.querySelector(".resting").hidden = true;
    await this.desk.resume();
    if (this.reopens && this.onePage.check()) await this.openCamera();
  }

  // Scans -------------------------------------------------------------------------------------------------
  submit(submitted) {
    const form = submitted.target;
    if (form.matches("[data-undo]")) {
      submitted.preventDefault();
      this.undo(form.elements.undo.value);
      if (!this.camera?.isOpen) this.input.focus(); // where a scanner types
    } else if (form.matches("[data-scan]")) {
      submitted.preventDefault();
      const typed = form.elements.shown.value.trim();
      form.reset();
      if (typed) this.scan(typed);
      this.input.focus();
    } else if (form.matches("[role=search]") && this.desk.isOffline) {
      submitted.preventDefault(); // the page would load again without a result, and stop the camera
      this.unsearched.hidden = false;
    }
  }

  get unsearched() {
    return this.querySelector(".unsearched");
  }

  /** Say that nothing was searched, if the browser shows the kept page instead of the result of a search. */
  sayUnsearched() {
    const words = new URL(location.href).searchParams.get("q")?.trim();
    this.unsearched.hidden = !words || this.querySelector(".found") !== null;
  }

  /** Scan a text that was typed or that the camera saw: a code or a serial. A text that is shown again before its
   *  answer comes is the same scan: a second scan of a ticket would be refused. */
  async scan(text) {
    const shown = text.replaceAll("\0", "").trim().slice(0, LONGEST);
    if (!shown) return;
    const isAsked = this.waiting.has(shown);
    this.waiting.set(shown, this.wait());
    if (isAsked) return;
    try {
      if (!this.onePage.check()) await this.onePage.takeOver();
      const answer = await this.desk.scan(isCode(shown) ? { code: shown } : { serial: shown });
      this.take(answer ?? noNetwork(), this.waiting.get(shown));
    } finally {
      this.waiting.delete(shown);
    }
  }

  async undo(scanId) {
    const turn = this.wait();
    if (!this.onePage.check()) await this.onePage.takeOver();
    const scan = await this.desk.undo(scanId);
    this.take(scan?.undone_at ? { ...scan, result: "undone" } : (scan ?? noNetwork()), turn);
  }

  /** Remove the former answer from the panel, and return a new number. Each scan and each undo is a question with its
   *  own number. */
  wait() {
    this.show({ result: "waiting" });
    this.turn = (this.turn ?? 0) + 1;
    return this.turn;
  }

  /** Show an answer. The panel shows only the answer to the newest question. A late answer gets a line in the list, and
   *  a tone only if it refuses: people would take any other tone for the answer to the newest question. */
  take(answer, turn) {
    const kind = KINDS[answer.result] ?? "bad";
    const isNewest = turn === this.turn;
    if (isNewest) this.show(answer);
    if (isNewest || kind === "bad") signal(kind);
    if (answer.result || !isNewest) this.addLine(answer);
  }

  show(answer) {
    const result = answer.result ?? "problem";
    this.panel.dataset.result = result;
    this.panel.hidden = false;
    setText(this.field("result"), this.sentence(answer));
    setText(this.field("who"), whose(answer.ticket));
    setText(this.field("what"), what(answer));
    setText(this.field("first"), this.first(answer));
    const undo = this.panel.querySelector("form");
    if (!undo) return;
    undo.hidden = !["admitted", "unchecked"].includes(result);
    undo.elements.undo.value = answer.scan_id ?? "";
  }

  sentence({ result, code, detail, title }) {
    return this.labels[result ?? code] ?? detail ?? title;
  }

  field(name) {
    return this.panel.querySelector(`[data-field="${name}"]`);
  }

  /** Return the sentence that says when and where a ticket was admitted, if it is refused for this reason. */
  first({ result, first: admission }) {
    if (!admission || result === "admitted") return "";
    const time = timeOrDate(admission.at, this.getAttribute("zone"), now());
    const values = { time, gate: admission.gate, by: admission.by };
    if (admission.by) return gettext("Admitted at %(time)s at gate %(gate)s by %(by)s", values);
    return gettext("Admitted at %(time)s at gate %(gate)s", values);
  }

  addLine(answer) {
    const lines = this.querySelector(".lines");
    const line = this.querySelector("#line").content.firstElementChild.cloneNode(true);
    line.dataset.result = answer.result ?? "problem";
    setText(line.querySelector("b"), this.sentence(answer));
    setText(line.querySelector("[data-field=who]"), whose(answer.ticket));
    setText(line.querySelector("[data-field=gate]"), this.getAttribute("gate"));
    setText(line.querySelector("time"), timeToTheSecond(now(), this.getAttribute("zone")));
    lines.prepend(line);
    while (lines.children.length > NEWEST) lines.lastElementChild.remove();
    this.querySelector(".no-lines").hidden = true;
  }

  // Network -----------------------------------------------------------------------------------------------
  showNetwork() {
    const { isOffline, kept, list, refusal } = this.desk;
    this.dataset.network = isOffline ? "off" : "on";
    const note = this.querySelector(".network");
    note.hidden = !isOffline && kept.length === 0;
    const known = gettext("No network. This page has a list of %(n)s tickets and keeps your scans.", { n: number(list.tickets.size) });
    const waiting = ngettext("%(n)s scan is waiting to be sent.", "%(n)s scans are waiting to be sent.", kept.length);
    const parts = [...(isOffline ? [known] : []), ...(kept.length > 0 ? [waiting] : [])];
    if (!isOffline && kept.length > 0 && refusal) parts.push(this.sentence(refusal));
    if (isOffline && !this.desk.store) parts.push(gettext("This browser loses your scans if you reload the page."));
    setText(note, parts.join(" "));
  }

  showConflict(answer) {
    const place = this.querySelector(".conflicts");
    place.hidden = false;
    const line = document.createElement("li");
    line.textContent = [this.labels[answer.result], whose(answer.ticket), this.first(answer)].filter(Boolean).join(" · ");
    place.querySelector("ul").append(line);
    signal("bad");
  }

  showState({ admitted, tickets, gates, conflicts, list_version: version }) {
    setText(this.querySelector('[data-field="admitted"]'), number(admitted));
    setText(this.querySelector('[data-field="tickets"]'), number(tickets));
    const here = gates.find(({ gate }) => gate === this.getAttribute("gate"))?.admitted ?? 0;
    setText(this.querySelector('[data-field="here"]'), number(here));
    setText(this.querySelector('[data-field="conflicts"]'), number(conflicts));
    if (version !== this.heard) this.desk.renew();
    this.heard = version;
  }

  // Camera ------------------------------------------------------------------------------------------------
  prepareCamera() {
    const part = this.querySelector(".camera");
    if (!navigator.mediaDevices?.getUserMedia) return;
    part.hidden = false;
    this.camera = new Camera(part.querySelector("video"), {
      onCode: (code) => this.see(code),
      readAtServer: (grey, width) => this.desk.readPicture(grey, width),
      onLost: () => this.loseCamera(),
    });
    part.querySelector("[data-do=camera]").addEventListener("click", () => this.toggleCamera());
    part.querySelector("select").addEventListener("change", ({ target }) => this.openCamera(target.value));
    part.querySelector("[data-do=torch]").addEventListener("click", ({ currentTarget }) => {
      const on = currentTarget.getAttribute("aria-pressed") !== "true";
      this.setTorch(on);
    });
  }

  toggleCamera() {
    if (!this.camera.isOpen) return this.openCamera();
    this.camera.close();
    return this.showCamera();
  }

  async openCamera(deviceId) {
    const trouble = this.querySelector(".camera .error");
    trouble.hidden = true;
    try {
      await this.camera.open(deviceId);
      if (recall("door-torch") === "on") await this.setTorch(true);
    } catch {
      trouble.hidden = false;
    }
    await this.showCamera();
  }

  /** Say that the camera no longer works: somebody has unplugged it, or has taken away the browser's permission. */
  async loseCamera() {
    this.camera.close();
    this.querySelector(".camera .error").hidden = false;
    await this.showCamera();
  }

  /** Show why the server reads no pictures, and close the camera: the server would refuse each further picture. */
  refuseCamera(problem) {
    if (!this.camera.isOpen) return;
    this.toggleCamera();
    this.take(problem, this.wait());
  }

  async setTorch(on) {
    if (!this.camera.hasTorch) return;
    await this.camera.setTorch(on);
    remember("door-torch", on ? "on" : "off");
    this.querySelector("[data-do=torch]").setAttribute("aria-pressed", String(on));
  }

  async showCamera() {
    const part = this.querySelector(".camera");
    const isOpen = this.camera.isOpen;
    part.querySelector("video").hidden = !isOpen;
    setText(part.querySelector("[data-do=camera]"), isOpen ? gettext("Stop the camera") : gettext("Scan with the camera"));
    part.querySelector("[data-do=torch]").hidden = !isOpen || !this.camera.hasTorch;
    const cameras = isOpen ? await this.camera.cameras() : [];
    const choice = part.querySelector("select");
    choice.hidden = cameras.length < 2;
    const current = this.camera.track?.getSettings().deviceId;
    const options = cameras.map(({ deviceId, label }, nth) => {
      const name = label || gettext("Camera %(n)s", { n: number(nth + 1) });
      return new Option(name, deviceId, false, deviceId === current);
    });
    choice.replaceChildren(...options);
  }

  see(code) {
    if (!this.onePage.check()) return;
    const isSame = code === this.seen?.code && performance.now() - this.seen.at < SAME_CODE;
    this.seen = { code, at: performance.now() };
    if (!isSame) this.scan(code);
  }

  /** Keep this page and its files, so that it opens without a network. The kept copy of the page has no names. */
  async keepPage() {
    if (!navigator.serviceWorker) return;
    try {
      await navigator.serviceWorker.register(this.getAttribute("worker"));
      await navigator.serviceWorker.ready;
      const files = performance.getEntriesByType("resource").map(({ name }) => name);
      const own = files.filter((name) => FILES.test(name.replace(location.origin, "")));
      const cache = await caches.open("door-2");
      const page = new URL(location.href);
      page.searchParams.delete("q");
      const kept = await fetch(`${page.href}&kept=1`);
      if (!kept.ok || kept.redirected) return;
      await cache.put(page.href, kept);
      await cache.addAll(new Set(own));
      this.dataset.kept = "yes";
    } catch {
      // The page is kept when it is loaded the next time.
    }
  }
}

function noNetwork() {
  return { detail: gettext("There is no network. Try again later.") };
}

function whose(ticket) {
  if (!ticket) return "";
  if (ticket.holder_erased) return gettext("Name erased");
  return ticket.holder || ticket.buyer || ticket.email || ticket.serial || "";
}

function what({ result, ticket, signed }) {
  if (!ticket) return "";
  const parts = [result === "other_event" ? eventOf(ticket) : "", ticket.ticket_type_name, ticket.serial];
  if (ticket.seats > 1) parts.push(gettext("%(seat)s of %(seats)s", { seat: number(ticket.seat), seats: number(ticket.seats) }));
  if (signed === null) parts.push(gettext("signature not checked"));
  return parts.filter(Boolean).join(" · ");
}

/** Return the name of a ticket's event with its date, because evenings of a series have the same name. */
function eventOf({ event_name: name, event_date: date, event_time_zone: zone }) {
  return date ? `${name}, ${dateTime(date, zone)}` : name;
}

customElements.define("door-page", DoorPage);
