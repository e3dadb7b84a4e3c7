// The form of an event: show beside each price the currency that is typed in the form.

const currency = document.querySelector("input[name=currency]");

currency.addEventListener("input", () => {
  for (const unit of document.querySelectorAll("[data-unit]")) unit.textContent = currency.value.toUpperCase();
});
