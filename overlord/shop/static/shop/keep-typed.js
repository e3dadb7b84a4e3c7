// Keep typed text while a change of language loads the page again, in the storage of the browser's tab.
//
// It keeps all fields of a form except secrets, for a minute at most, and until the next page is loaded. Hidden fields
// are kept too: they say from which version a form was made, so that an outdated one is still refused.

const KEY = "typed";
const LASTS = 60_000; // milliseconds
const SECRET = "[type=password], [type=file], [autocomplete=one-time-code], [autocomplete^=cc-]";
const NEVER = /^(csrfmiddlewaretoken|next|code|token|offer|.*-TOTAL_FORMS)$/; // secrets, and values of one page load
const BUTTONS = ["submit", "button", "reset", "fieldset", "output", "select-multiple"];

document.addEventListener("submit", ({ target }) => {
  if (target.matches("form.languages")) keep(typed({ isAnswer: "answer" in target.dataset }));
});
addEventListener("load", restore); // by then all scripts of the page listen to its fields

/** Return the fields of each form that was changed, by form; of all forms, if the page is the answer to a form. */
function typed({ isAnswer }) {
  const touched = forms().filter(([, form]) => isAnswer || fields(form).some(isChanged));
  return Object.fromEntries(touched.map(([id, form]) => [id, fields(form).map((field) => [key(field), read(field)])]));
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
      keep({ [id]: kept[id] }, left.size); // rows had been added to this form: add one, and restore again
      form.requestSubmit(more);
      return;
    }
  }
}

/** Return the forms of the page, each with a name that it has in every language. */
function forms() {
  const seen = new Map();
  return [...document.forms].filter((form) => !form.matches(".languages")).map((form) => {
    const { pathname, search } = new URL(form.getAttribute("action") ?? "", location.href);
    const address = pathname + search;
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
    // The browser keeps nothing: the language changes as it does without JavaScript.
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
