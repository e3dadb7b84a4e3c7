// Asks the server regularly while a stream of the page is not live. So a page misses no change, even if a proxy refuses
// its sockets, or if there are too many sockets from the same network address.

const ASK_EVERY = 20_000; // milliseconds, on average

/** Call `ask` regularly while a stream is not live and the page is visible. Return an object with three functions.
 *  `hear` takes the name of a stream and its new status (live.js). `forget` takes the name of a stream that is no longer
 *  followed. `stop` ends the calls of `ask`. A page may also wait for something that no stream tells: it calls `hear`
 *  with another name, and with the status "live" when it need not ask any more. */
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
