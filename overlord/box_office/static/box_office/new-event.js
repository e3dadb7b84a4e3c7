// The form of a new event: fill in the browser's time zone, if neither the installation nor the author chose one.

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const input = document.querySelector("input[name=time_zone]");
const isKnown = [...(input?.list?.options ?? [])].some(({ value }) => value === zone);

if (isKnown && input.value === input.defaultValue) input.value = zone;
