// What every page does: focus the error message, and submit a form only once.

import "shop/live-badge.js";

document.querySelector("[data-focus]")?.focus();

for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.submitted) return event.preventDefault();
    form.dataset.submitted = "yes";
    const button = event.submitter ?? form.querySelector("button[type=submit]");
    button?.setAttribute("aria-disabled", "true");
    if (button?.dataset.busy) {
      button.dataset.label = button.textContent;
      button.textContent = button.dataset.busy;
    }
    return undefined;
  });
}

/** Let a form be submitted once more. */
export function enableForm(form) {
  delete form.dataset.submitted;
  for (const button of form.querySelectorAll("[aria-disabled]")) {
    button.removeAttribute("aria-disabled");
    if (button.dataset.label) button.textContent = button.dataset.label;
  }
}

// A page from the browser's back-forward cache is old: its forms may have been submitted.
addEventListener("pageshow", ({ persisted }) => {
  if (persisted) location.reload();
});

// Ask before an action that is hard to undo. Without JavaScript the link leads to a page that asks.
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
