// Calls `each` with every text that is published on a channel of Redis. It knows only the part of Redis's protocol that
// this needs.
const net = require("node:net");

module.exports = function subscribe({ port, password, channel }, each) {
  const socket = net.connect(port, "127.0.0.1");
  socket.write(command("AUTH", password) + command("SUBSCRIBE", channel));
  let held = Buffer.alloc(0);
  socket.on("data", (data) => {
    held = held.length ? Buffer.concat([held, data]) : data;
    for (let found; (found = parse(held, 0)); held = held.subarray(found.end)) {
      if (Array.isArray(found.value) && found.value[0] === "message") each(found.value[2]);
    }
  });
};

function command(...words) {
  return `*${words.length}\r\n` + words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join("");
}

function parse(data, start) {
  const stop = data.indexOf("\r\n", start);
  if (stop < 0) return null;
  const kind = data[start], text = data.toString("utf8", start + 1, stop);
  if (kind === 36) {
    const end = stop + 2 + Number(text);
    return data.length < end + 2 ? null : { value: data.toString("utf8", stop + 2, end), end: end + 2 };
  }
  if (kind !== 42) return { value: text, end: stop + 2 };
  const value = [];
  let end = stop + 2;
  for (let left = Number(text); left > 0; left--) {
    const item = parse(data, end);
    if (!item) return null;
    value.push(item.value);
    end = item.end;
  }
  return { value, end };
}
