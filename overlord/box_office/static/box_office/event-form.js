// The form of an event: show the currency in the form beside each price.

const currency = document.querySelector("input[name=currency]");

currency.addEventListener("input", () => {
  for (const unit of document.querySelectorAll("[data-unit]")) unit.textContent = currency.value.toUpperCase();
});
