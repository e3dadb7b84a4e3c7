// The form of an event: the currency beside each price is the one of the form.

const currency = document.querySelector("input[name=currency]");

currency.addEventListener("input", () => {
  for (const unit of document.querySelectorAll("[data-unit]")) unit.textContent = currency.value.toUpperCase();
});
