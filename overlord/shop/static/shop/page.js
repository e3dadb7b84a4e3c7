// What every page does: the focus goes to what went wrong, and a form that is sent is not sent twice.

import "shop/live-badge.js";

document.querySelector("[data-focus]")?.focus();

for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) return event.preventDefault();
    form.dataset.sent = "yes";
    const button = event.submitter ?? form.querySelector("button[type=submit]");
    button?.setAttribute("aria-disabled", "true");
    if (button?.dataset.sent) {
      button.dataset.words = button.textContent;
      button.textContent = button.dataset.sent;
    }
    return undefined;
  });
}

/** Will let a form be sent once more. */
export function allowAgain(form) {
  delete form.dataset.sent;
  for (const button of form.querySelectorAll("[aria-disabled]")) {
    button.removeAttribute("aria-disabled");
    if (button.dataset.words) button.textContent = button.dataset.words;
  }
}

// A page that comes back from the browser's memory may be pressed again.
addEventListener("pageshow", ({ persisted }) => {
  if (persisted) location.reload();
});

// A question before what cannot be taken back lightly; without JavaScript the link leads to a page that asks.
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-ask]");
  const dialog = link && document.getElementById(link.dataset.ask);
  if (!dialog?.showModal) return;
  event.preventDefault();
  for (const [name, text] of Object.entries(link.dataset)) {
    for (const slot of dialog.querySelectorAll(`[data-slot="${CSS.escape(name)}"]`)) slot.textContent = text;
  }
  dialog.querySelector("form[action]").action = link.href;
  dialog.querySelector("[name=paused]").value = link.dataset.paused;
  dialog.showModal();
});

