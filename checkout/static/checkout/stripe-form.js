// The form for the card. Buyers type the card number into Stripe's own form. This site never gets it, only a token.
// Without Stripe's script, the page says so. If Pay is pressed all the same, the server refuses the missing token.

import { gettext } from "shop/formats.js";
import { enableForm } from "shop/page.js";

const status = document.querySelector("payment-status");
const failure = document.getElementById("card-error");

if (globalThis.Stripe) {
  begin(globalThis.Stripe(status.getAttribute("stripe"), { locale: document.documentElement.lang }));
} else {
  failure.textContent = gettext(
    "The field for your card did not load. You were not charged. If your browser blocks content, allow it on this " +
      "page. Then try again.",
  );
}

function begin(stripe) {
  const form = status.querySelector("form.pay");
  const card = stripe.elements().create("card", { hidePostalCode: true });
  const confirm = status.querySelector('[data-field="action"]');
  card.mount("#card");
  form.addEventListener("submit", async (event) => {
    if (event.defaultPrevented || form.token.value) return; // pressed twice, or sent by `requestSubmit` below
    event.preventDefault();
    const { paymentMethod, error } = await stripe.createPaymentMethod({ type: "card", card });
    failure.textContent = error?.message ?? "";
    enableForm(form);
    if (!paymentMethod) return;
    form.token.value = paymentMethod.id;
    form.requestSubmit();
    form.token.value = ""; // the next press of Pay uses the card that is entered then
  });

  // 3-D Secure: the bank asks the buyer directly. The outcome comes in a frame, like any other. The first frame usually
  // comes before this script runs, because Stripe's script is loaded first.
  function offer() {
    confirm.hidden = !status.action?.client_secret;
  }
  offer();
  status.addEventListener("action", offer);
  confirm.querySelector("button").addEventListener("click", () => {
    if (status.action) stripe.handleNextAction({ clientSecret: status.action.client_secret });
  });
}
