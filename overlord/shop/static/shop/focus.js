// The focus of the keyboard, when a page changes by itself.

/** Give an element the focus that a removed one had, so that people who use the keyboard keep their place. */
export function takeFocus(element) {
  element.tabIndex = -1;
  element.focus();
}

/** Do `change`. If it removes or hides what has the focus in `root`, focus the element that `place` returns. */
export function keepFocus(root, change, place) {
  const before = document.activeElement;
  const isIn = Boolean(before) && root.contains(before);
  change();
  if (isIn && !before.checkVisibility()) takeFocus(place());
}
