"""The ES modules of the pages, by the names under which they import one another (the import map)."""

MODULES = (
    "checkout/live-me.js",
    "checkout/payment-status.js",
    "checkout/stages.js",
    "checkout/stripe-form.js",
    "realtime/live.js",
    "shop/announce.js",
    "shop/formats.js",
    "shop/fresh-page.js",
    "shop/hold-countdown.js",
    "shop/live-badge.js",
    "shop/page.js",
    "stats/live-monitor.js",
    "stats/minute-chart.js",
    "tickets/live-event.js",
    "tickets/live-events.js",
    "tickets/availability-labels.js",
    "tickets/own-tickets.js",
)
