// The sentences of a line's page for people who wait. `tickets/line/labels.py` makes the same on the server.

import { dateTime, gettext, ngettext, number } from "shop/formats.js";

/** Return how many places come before this one and are not served yet; null before the draw. */
export function peopleAhead(place, served) {
  return place === null ? null : Math.max(0, place - served - 1);
}

/** Return the seconds to wait at the shown pace; null while that is not known. */
export function secondsToWait(ahead, perMinute) {
  if (ahead === null || (ahead > 0 && perMinute === 0)) return null;
  return ahead === 0 ? 0 : Math.ceil((ahead * 60) / perMinute);
}

/** Return the sentence about the place of a person who waits. `line` is as its stream shows it. */
export function waitingText(line, place, zone) {
  if (place === null) return beforeTheDraw(line, zone);
  if (place <= line.served) {
    return gettext(
      "It is your turn, but the tickets that you want are not available now. You keep your place. " +
        "If tickets become available again, you can get them before the people behind you.",
    );
  }
  const text = gettext("Your place is %(place)s.", { place: number(place) });
  const ahead = peopleAhead(place, line.served);
  if (ahead === 0) return `${text} ${gettext("You are next.")}`;
  return `${text} ${ngettext("%(n)s person is ahead of you.", "%(n)s people are ahead of you.", ahead)}`;
}

function beforeTheDraw(line, zone) {
  if (line.seed !== null) return gettext("The places have been drawn. Your place appears in a moment.");
  if (line.digest !== null) {
    return gettext("The list is closed. Places are drawn as soon as this value is known: %(name)s.", {
      name: line.public_name,
    });
  }
  return `${drawText(line, zone)} ${ngettext("%(n)s person has joined.", "%(n)s people have joined.", line.entries)}`;
}

/** Return the sentence that says what the draw means for people who join now, before the draw. */
export function drawText(line, zone) {
  if (line.digest !== null) {
    return gettext(
      "The list for the draw is closed. People who join now come behind everybody on the list, in the order in which they join.",
    );
  }
  return gettext(
    "A draw decides the order of the people in line when the sale opens: %(when)s. It does not matter how early you join.",
    { when: line.opens_at ? dateTime(line.opens_at, zone) : "" },
  );
}

/** Return the sentence for people who still waited when the sale ended. */
export function endedText(isCancelled) {
  if (isCancelled) {
    return gettext("The event is cancelled. The line gives no more tickets. You were not charged.");
  }
  return gettext(
    "The sale ended before you could get tickets. The line gives no more tickets. You were not charged.",
  );
}

/** Return the sentence about the length of the wait, or an empty text while that is not known. */
export function waitText(seconds) {
  if (seconds === null) return "";
  if (seconds <= 60) return gettext("Your turn comes in about a minute or less.");
  const minutes = Math.ceil(seconds / 60);
  return ngettext("Your turn comes in about %(n)s minute.", "Your turn comes in about %(n)s minutes.", minutes);
}

/** Return why a line stands still or is slow, or an empty text if it moves at full speed. */
export function reasonText(line) {
  if (line.held) return gettext("The organiser has paused the line. Your place stays the same.");
  if (line.standing) {
    return gettext("The tickets that people in line want are not available now. If tickets become available again, the next people in line get them.");
  }
  return line.most_per_minute === null ? "" : gettext("The organiser has slowed the line down.");
}
