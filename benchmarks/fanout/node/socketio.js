// socket.io, with a room for each event.
const { Server } = require("socket.io");
const [port, redis, password, channel] = process.argv.slice(2);
const server = new Server(Number(port), { transports: ["websocket"] });

server.on("connection", (socket) => socket.join("event.1"));
require("./subscriber.js")({ port: Number(redis), password, channel }, (text) => {
  server.to("event.1").emit("frame", JSON.parse(text));
});
