// Asks the server regularly while a stream of the page is not live, so that a page misses nothing although a proxy
// refuses its sockets, or its address has too many.

const ASK_EVERY = 20_000; // milliseconds, on average

/** Call `ask` again and again while a stream is not live and somebody sees the page; return what takes each status of
 *  `follow`. */
export function whileNotLive(ask) {
  const every = ASK_EVERY * (0.75 + Math.random() / 2);
  const silent = new Set();
  let timer = null;

  function check() {
    if (silent.size === 0) stop();
    else timer ??= setInterval(() => { if (!document.hidden) ask(); }, every);
  }

  function stop() {
    clearInterval(timer);
    timer = null;
  }

  return {
    hear(stream, status) {
      if (status === "live") silent.delete(stream);
      else silent.add(stream);
      check();
    },
    forget(stream) {
      silent.delete(stream);
      check();
    },
    stop,
  };
}
