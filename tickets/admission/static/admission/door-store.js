// The data that a door keeps in this browser, even after a restart: the list of its event, and the scans that are not
// sent yet. Without IndexedDB the browser keeps neither, and the page says so. The user's choices are kept in
// localStorage, if the browser allows it.

const NAME = "door";
const VERSION = 1;
const USED = 2 * 86_400_000; // milliseconds after which the list of another event is removed

function request(asked) {
  return new Promise((resolve, reject) => {
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

function finished(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
  });
}

function rowsOf(event) {
  return IDBKeyRange.bound([event, 0], [event, Number.MAX_SAFE_INTEGER]);
}

/** Return the choice that is kept under a name; null if there is none, or if the browser keeps nothing. */
export function recall(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null;
  }
}

/** Keep a choice, unless the browser refuses: its storage may be full or forbidden. */
export function remember(name, chosen) {
  try {
    localStorage.setItem(name, chosen);
  } catch {
    // The user has to choose again next time.
  }
}

export async function open() {
  const opening = indexedDB.open(NAME, VERSION);
  opening.onupgradeneeded = () => {
    opening.result.createObjectStore("lists", { keyPath: "event" });
    opening.result.createObjectStore("tickets"); // by [event, ticket]
    opening.result.createObjectStore("scans", { keyPath: "scan_id" });
  };
  return new Store(await request(opening));
}

class Store {
  constructor(database) {
    this.database = database;
  }

  /** Return the kept list of an event in the form of the server's answer; null if none is kept. */
  async list(event) {
    const transaction = this.database.transaction(["lists", "tickets"]);
    const head = await request(transaction.objectStore("lists").get(event));
    if (head === undefined) return null;
    const tickets = await request(transaction.objectStore("tickets").getAll(rowsOf(event)));
    return { ...head, complete: true, tickets };
  }

  /** Keep the changes of an event's list. If the list is `complete`, it replaces the kept one, and the lists of other
   *  events that no page has used for a while are removed. Return false, and keep nothing, if there are only changes,
   *  and the browser has no list to which they belong. */
  async keepList(event, { version, complete, keys, ticket_types, tickets }) {
    const transaction = this.database.transaction(["lists", "tickets"], "readwrite");
    const [lists, rows] = ["lists", "tickets"].map((name) => transaction.objectStore(name));
    const kept = await request(lists.getAll());
    if (!complete && !kept.some((list) => list.event === event)) return false;
    const isOld = (list) => list.event === event || !(Date.now() - list.usedAt < USED);
    for (const old of complete ? kept.filter(isOld) : []) {
      lists.delete(old.event);
      rows.delete(rowsOf(old.event));
    }
    for (const row of tickets) rows.put(row, [event, row[0]]);
    lists.put({ event, version, keys, ticket_types, usedAt: Date.now() });
    await finished(transaction);
    return true;
  }

  /** Return the scans that are not sent yet, or whose undo is not sent yet, the oldest first. */
  async scans() {
    const all = await request(this.database.transaction("scans").objectStore("scans").getAll());
    return all.sort((one, other) => (one.at < other.at ? -1 : 1));
  }

  /** Keep a scan; it is on the disk when this returns. */
  async keepScan(scan) {
    const transaction = this.database.transaction("scans", "readwrite", { durability: "strict" });
    transaction.objectStore("scans").put(scan);
    await finished(transaction);
  }

  async forgetScans(ids) {
    const transaction = this.database.transaction("scans", "readwrite");
    for (const id of ids) transaction.objectStore("scans").delete(id);
    await finished(transaction);
  }
}
