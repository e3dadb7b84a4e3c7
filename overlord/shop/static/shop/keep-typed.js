// Keeps typed text, in the storage of the browser's tab, when the page is loaded again: by a change of language, by a
// form that is marked `data-keeps`, or by a script that calls `keepTyped`.
//
// It keeps all fields of a form except secrets and values that a page makes (`NEVER`), until the next page is loaded,
// and for at most a minute. At a change of language hidden fields are kept too: they contain the version that the form
// shows, so that the server can still refuse an outdated form. Otherwise they are not kept: the buyer sees what changed.

const KEY = "typed";
const LASTS = 60_000; // milliseconds
const SECRET = "[type=password], [type=file], [autocomplete=one-time-code], [autocomplete^=cc-]";
const NEVER = /^(csrfmiddlewaretoken|next|code|token|offer|.*-TOTAL_FORMS)$/; // secrets, and values that a page makes
const BUTTONS = ["submit", "button", "reset", "fieldset", "output", "select-multiple"];

document.addEventListener("submit", ({ target, submitter }) => {
  if (submitter?.formMethod === "dialog") return; // no page is loaded
  if (target.matches("form.languages")) keep(typed(forms(), () => true));
  else if ("keeps" in target.dataset) keepTyped(target);
});
addEventListener("load", restore); // by then all scripts of the page listen to its fields

/** Keep what is typed in the forms of this page, except in the form that is sent now, if any. */
export function keepTyped(sent = null) {
  const others = forms().filter(([, form]) => form !== sent);
  keep(typed(others, ({ type }) => type !== "hidden"));
}

/** Return those fields of each changed form that `isKept`, by the form's name. If this page is the answer to a form, all
 *  its forms count as changed. */
function typed(among, isKept) {
  const isAnswer = document.querySelector("form.languages[data-answer]") !== null;
  const touched = among.filter(([, form]) => isAnswer || fields(form).some(isChanged));
  return Object.fromEntries(
    touched.map(([id, form]) => [id, fields(form).filter(isKept).map((field) => [key(field), read(field)])]),
  );
}

function restore() {
  const { kept, missing: before = Infinity } = take();
  for (const [id, form] of kept ? forms() : []) {
    const left = new Map(kept[id] ?? []);
    for (const field of fields(form)) {
      if (left.has(key(field))) write(field, left.get(key(field)));
      left.delete(key(field));
    }
    const more = form.querySelector("button[name=more]");
    if (more && left.size > 0 && left.size < before) {
      keep({ [id]: kept[id] }, left.size); // the form had more rows: add one. This loads the page, and restores again
      form.requestSubmit(more);
      return;
    }
  }
}

/** Return pairs of a name and a form of the page. The name is the same in every language. A form whose place or address
 *  may change when the page is loaded again has an id. */
function forms() {
  const seen = new Map();
  return [...document.forms].filter((form) => !form.matches(".languages")).map((form) => {
    const { pathname, search } = new URL(form.getAttribute("action") ?? "", location.href);
    const address = pathname + search;
    if (form.id) return [`#${form.id}`, form];
    seen.set(address, (seen.get(address) ?? 0) + 1);
    return [`${address} ${seen.get(address)}`, form];
  });
}

function fields(form) {
  const named = [...form.elements].filter(({ name, type }) => name && !NEVER.test(name) && !BUTTONS.includes(type));
  return named.filter((field) => !field.matches(SECRET));
}

function isChoice({ type }) {
  return type === "checkbox" || type === "radio";
}

function key(field) {
  return isChoice(field) ? `${field.name}=${field.value}` : field.name;
}

function read(field) {
  return isChoice(field) ? field.checked : field.value;
}

function isChanged(field) {
  if (isChoice(field)) return field.checked !== field.defaultChecked;
  if (!field.options) return field.value !== field.defaultValue;
  const shown = [...field.options].findIndex(({ defaultSelected }) => defaultSelected);
  return field.selectedIndex !== Math.max(0, shown);
}

function write(field, value) {
  if (read(field) === value) return;
  field.closest("details")?.setAttribute("open", "");
  if (isChoice(field)) field.checked = value;
  else field.value = value;
  for (const name of ["input", "change"]) field.dispatchEvent(new Event(name, { bubbles: true }));
}

function keep(kept, missing) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ kept, missing, at: Date.now() }));
  } catch {
    // The browser allows no storage: the language changes, and the typed text is lost.
  }
}

function take() {
  try {
    const { kept, missing, at } = JSON.parse(sessionStorage.getItem(KEY) ?? "{}");
    sessionStorage.removeItem(KEY);
    return Date.now() - at < LASTS ? { kept, missing } : {};
  } catch {
    return {};
  }
}
