// `ws`, which broadcasts as its documentation says: it sends the same text to each client.
const { WebSocketServer, WebSocket } = require("ws");
const [port, redis, password, channel] = process.argv.slice(2);
const server = new WebSocketServer({ port: Number(port), host: "127.0.0.1" });

require("./subscriber.js")({ port: Number(redis), password, channel }, (text) => {
  for (const client of server.clients) if (client.readyState === WebSocket.OPEN) client.send(text);
});
