// The focus of the keyboard, when a page changes by itself.

/** Give an element the focus that a removed one had, so that people who use the keyboard keep their place. */
export function takeFocus(element) {
  element.tabIndex = -1;
  element.focus();
}

/** Return whether an element is on the page and not hidden. Old iPhones have no `checkVisibility`. */
export function isShown(element) {
  return element.getClientRects().length > 0;
}

/** Do `change`. If it removes or hides what has the focus in `root`, focus the element that `place` returns. */
export function keepFocus(root, change, place) {
  const before = document.activeElement;
  const isIn = Boolean(before) && root.contains(before);
  change();
  if (isIn && !isShown(before)) takeFocus(place());
}
