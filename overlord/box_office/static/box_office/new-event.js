// The form of a new event: fill in the browser's time zone, unless the author has chosen another one. A page loads this
// script only if the installation's settings name no time zone.

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const input = document.querySelector("input[name=time_zone]");
const isKnown = [...(input?.list?.options ?? [])].some(({ value }) => value === zone);

if (isKnown && input.value === input.defaultValue) input.value = zone;
