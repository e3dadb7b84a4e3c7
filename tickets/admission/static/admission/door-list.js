// The list with which a door decides without a network: the keys and the tickets of its event, as the server last sent
// them. This module uses no page and no store.

import { codeRead, isSigned, prepare, serialRead } from "admission/codes.js";

export class DoorList {
  constructor(event) {
    this.event = event;
    this.version = 0;
    this.keys = new Map();
    this.types = new Map();
    this.tickets = new Map(); // by id: [id, serial, type, issue, state, when it was admitted, gate]
    this.serials = new Map(); // ids by serial
    this.letIn = new Map(); // let in here, but not yet in the server's list: id -> {at, gate}
  }

  /** Update the list from the server's answer; return the rows of tickets that changed. */
  take({ version, complete, keys, ticket_types: types, tickets }) {
    if (complete) {
      this.tickets.clear();
      this.serials.clear();
    }
    this.version = version;
    this.keys = new Map(keys.map((key) => [key.id, key]));
    for (const key of keys) prepare(key.public_key);
    this.types = new Map(types.map(({ id, name }) => [id, name]));
    for (const row of tickets) this.put(row);
    return tickets;
  }

  put(row) {
    const before = this.tickets.get(row[0]);
    if (before !== undefined) this.serials.delete(before[1]); // a ticket that was handed over has another serial
    this.tickets.set(row[0], row);
    this.serials.set(row[1], row[0]);
  }

  /** Return `{ result, ticket, first, signed }` for a code or a serial. `result` is "unchecked" if the list gives no
   *  reason to refuse the ticket, otherwise one of the server's results. `signed` is null if the browser cannot verify
   *  signatures. */
  async decide({ code = "", serial = "" }) {
    if (serial) return this.decideTicket(this.serials.get(serialRead(serial)), null);
    const said = codeRead(code.trim());
    if (said === null) return { result: "unknown" };
    if (said.event !== this.event) return { result: "other_event" };
    const key = this.keys.get(said.key);
    if (key === undefined) return { result: "unknown" };
    const signed = await isSigned(said.bytes, key.public_key);
    if (signed === false) return { result: "unknown" };
    if (key.retired_at !== null) return { result: "revoked" };
    return { ...this.decideTicket(said.ticket, said.issue), signed };
  }

  decideTicket(id, issue) {
    if (id === undefined) return { result: "unknown" };
    const row = this.tickets.get(id);
    const ticket = row ? this.shown(row) : { id };
    const here = this.letIn.get(id);
    if (row !== undefined) {
      const [, , , latest, state, at, gate] = row;
      if (state === "revoked" || (issue !== null && issue < latest)) return { result: "revoked", ticket };
      if (state === "admitted") return { result: "already_admitted", ticket, first: { at, gate } };
    }
    if (here !== undefined) return { result: "already_admitted", ticket, first: here };
    return { result: "unchecked", ticket };
  }

  /** Return what this list knows of the ticket of a kept scan. The server's answer may name no ticket, for example
   *  because the typed serial has ended. */
  known({ ticket: id, serial }) {
    const row = this.tickets.get(id);
    return { ...(row ? this.shown(row) : { id }), ...(serial ? { serial: serialRead(serial) } : {}) };
  }

  shown([id, serial, type]) {
    return { id, serial, ticket_type_name: this.types.get(type) ?? "" };
  }
}
