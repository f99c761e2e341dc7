// A stand-in for Kissmetrics' script, for tests: it carries out the commands in
// the queue of its page, and sends what they mean to a tracking server.
(() => {
  "use strict";
  const server = "{{server}}";
  const year = 365 * 24 * 60 * 60;

  const cookie = (name) => {
    const found = document.cookie.split("; ").find((pair) => pair.startsWith(name + "="));
    return found && decodeURIComponent(found.slice(name.length + 1));
  };
  const keep = (name, value, age = year) => {
    document.cookie = `${name}=${encodeURIComponent(value)}; path=/; max-age=${age}; SameSite=Lax`;
  };
  const anonymous = () => {
    if (!cookie("km_ai")) {
      keep("km_ai", btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(20)))));
    }
    return cookie("km_ai");
  };
  const person = () => cookie("km_ni") || anonymous();

  const send = (path, own, properties = {}) => {
    const query = new URLSearchParams();
    for (const name of Object.keys(properties)) {
      query.set(name, properties[name]);
    }
    for (const name of Object.keys(own)) {
      query.set(name, own[name]);
    }
    query.set("_k", window._kmk);
    new Image().src = `${server}${path}?${query}`;
  };

  const commands = {
    identify(id) {
      if (!cookie("km_ni") && anonymous() !== id) {
        send("/a", { _p: anonymous(), _n: id });
      }
      keep("km_ni", id);
    },
    set(properties) {
      send("/s", { _p: person() }, properties);
    },
    record(name, properties) {
      send("/e", { _p: person(), _n: name }, properties);
    },
    alias(id, previous) {
      send("/a", { _p: previous, _n: id });
    },
    clearIdentity() {
      keep("km_ni", "", 0);
      keep("km_ai", "", 0);
      anonymous();
    },
  };
  const carryOut = ([command, ...rest]) => commands[command](...rest);

  const waiting = window._kmq || [];
  anonymous();
  window._kmq = { push: carryOut };
  waiting.forEach(carryOut);
})();
