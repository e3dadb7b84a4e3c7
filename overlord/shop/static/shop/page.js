// The script of every page: it focuses an error message, lets a form be sent only once, asks before some actions, and
// keeps typed text when the language changes.

import "shop/live-badge.js";
import { gettext } from "shop/formats.js";
import { keepTyped } from "shop/keep-typed.js";

const SLOW = 6_000; // milliseconds without an answer to a form, until the page says so

document.querySelector("[data-focus]")?.focus();

// On a phone the menu scrolls: scroll it so that the entry of this page is visible.
const here = document.querySelector(".masthead nav [aria-current]");
here?.parentElement.scrollTo({ left: here.offsetLeft - (here.parentElement.clientWidth - here.offsetWidth) / 2 });

// A key by which the server recognises a form that is sent again. A page that all visitors share cannot contain a key,
// so it is made here. The key is secret, and not written into the page: it gives access to the guest that the form
// makes.
const bytes = crypto.getRandomValues(new Uint8Array(16));
const key = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("formdata", ({ formData }) => {
    if ("keyed" in form.dataset && !formData.has("key")) formData.set("key", key);
  });
  form.addEventListener("submit", (event) => {
    if (form.dataset.submitted) return event.preventDefault();
    form.dataset.submitted = "yes";
    const button = event.submitter ?? form.querySelector("button[type=submit]");
    button?.setAttribute("aria-disabled", "true");
    if (button?.dataset.busy) {
      button.dataset.label = button.textContent;
      button.textContent = button.dataset.busy;
    }
    setTimeout(() => showSlow(form), SLOW);
    return undefined;
  });
}

/** Say that the answer is late, and let the form be sent again. If the form has a key or a CSRF token, the server does
 *  nothing twice. */
function showSlow(form) {
  if (!form.dataset.submitted) return;
  enableForm(form);
  const note = form.querySelector(".late") ?? document.createElement("p");
  note.className = "alert late";
  note.setAttribute("role", "alert");
  const isKnown = "keyed" in form.dataset || form.elements.csrfmiddlewaretoken;
  note.textContent = isKnown
    ? gettext("The site is slow to answer. You can wait or try again. Nothing will be done twice.")
    : gettext("The site is slow to answer. You can wait or try again.");
  form.append(note);
}

/** Let a form be sent again. */
export function enableForm(form) {
  delete form.dataset.submitted;
  for (const button of form.querySelectorAll("[aria-disabled]")) {
    button.removeAttribute("aria-disabled");
    if (button.dataset.label) button.textContent = button.dataset.label;
  }
}

/** Load this page again by a GET. If it is the answer to a form, a reload would send the form again. If `keeps`, keep
 *  what somebody has typed. */
export function loadAnew({ keeps = false } = {}) {
  if (keeps) keepTyped();
  location.replace(location.pathname + location.search);
}

// Load a page again when it comes from the browser's back-forward cache: it is old, and its forms may have been sent.
addEventListener("pageshow", ({ persisted }) => {
  if (persisted) loadAnew();
});

// Ask in a dialog before an action that is hard to undo. Without JavaScript, the link leads to a page that asks.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-ask]");
  const dialog = link && document.getElementById(link.dataset.ask);
  if (!dialog?.showModal) return;
  event.preventDefault();
  for (const [name, text] of Object.entries(link.dataset)) {
    for (const slot of dialog.querySelectorAll(`[data-slot="${CSS.escape(name)}"]`)) slot.textContent = text;
  }
  dialog.querySelector("form[action]").action = link.href;
  const paused = dialog.querySelector("[name=paused]");
  if (paused) paused.value = link.dataset.paused;
  dialog.showModal();
});

// Ask in a dialog before a button sends a form whose action is hard to undo. The button's `data-confirm` is the
// question. Without JavaScript, the button acts at once.
let confirmed = null;
document.addEventListener("submit", (event) => {
  const button = event.submitter;
  if (!button?.dataset.confirm || button === confirmed) return;
  event.preventDefault();
  event.stopPropagation(); // the form is not sent yet
  ask(button);
}, { capture: true });

function ask(button) {
  const dialog = document.createElement("dialog");
  const question = document.createElement("h2");
  question.id = "question";
  question.textContent = button.dataset.confirm;
  dialog.setAttribute("aria-labelledby", question.id);
  const answers = document.createElement("form");
  answers.method = "dialog";
  answers.className = "row";
  const cancel = answer("no", "quiet", gettext("Cancel"));
  cancel.autofocus = true; // so that a second press of the same key confirms nothing
  answers.append(answer("yes", "danger", button.textContent), cancel);
  dialog.append(question, answers);
  dialog.addEventListener("close", () => {
    const form = dialog.returnValue === "yes" ? button.form : null;
    dialog.remove();
    delete button.dataset.asked;
    confirmed = button;
    form?.requestSubmit(button);
    confirmed = null;
  });
  button.dataset.asked = "yes";
  document.body.append(dialog);
  dialog.showModal();
}

function answer(value, look, text) {
  const button = document.createElement("button");
  Object.assign(button, { value, className: look, textContent: text });
  return button;
}
