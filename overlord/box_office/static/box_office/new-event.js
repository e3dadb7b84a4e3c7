// The form of a new event: choose the browser's time zone, where neither the installation nor the author chose one.

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
const select = document.querySelector("select[name=time_zone]");
const options = [...(select?.options ?? [])];
const isUntouched = options.find(({ defaultSelected }) => defaultSelected)?.selected;

if (isUntouched && options.some(({ value }) => value === zone)) select.value = zone;
