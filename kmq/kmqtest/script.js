// A stand-in for Kissmetrics' script, for tests: it carries out the commands in
// the queue of its page, and sends what they mean to a tracking server. What it
// does, and the documents that it follows, are listed at kmqtest.Handler.
(() => {
  "use strict";
  if (window.KM) {
    return; // loaded twice: the queue has been taken over already
  }
  const server = "{{server}}";
  const key = "{{key}}";
  const fiveYears = 5 * 365 * 24 * 60 * 60;
  const beforeLeaving = 250; // milliseconds

  const cookie = (name) => {
    const found = document.cookie.split("; ").find((pair) => pair.startsWith(name + "="));
    return found && decodeURIComponent(found.slice(name.length + 1));
  };
  const keep = (name, value, age = fiveYears) => {
    document.cookie = `${name}=${encodeURIComponent(value)}; path=/; max-age=${age}; SameSite=Lax`;
  };
  const anonymous = () => {
    if (!cookie("km_ai")) {
      keep("km_ai", btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(20)))));
    }
    return cookie("km_ai");
  };
  const person = () => cookie("km_ni") || anonymous();

  // text returns a value as it is sent, and undefined where it is left out.
  const text = (value) => {
    if (value === null) {
      return "";
    }
    if (typeof value === "function" || (typeof value === "object" && !Array.isArray(value))) {
      return undefined;
    }
    return String(value); // the elements of a list are joined with commas
  };

  const send = (path, own, properties, done) => {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries({ ...properties })) {
      if (text(value) !== undefined) {
        query.set(name, text(value));
      }
    }
    for (const [name, value] of Object.entries(own)) {
      query.set(name, value);
    }
    query.set("_k", key);
    if (!query.has("_t")) {
      query.set("_t", Math.floor(Date.now() / 1000)); // or a browser takes the same picture again
    }
    const picture = new Image();
    if (typeof done === "function") {
      picture.onload = done;
    }
    picture.src = `${server}${path}?${query}`;
  };

  // elements returns those of an id, with or without #, or of a .class.
  const elements = (element) => {
    if (typeof element !== "string") {
      return [element];
    }
    if (element.startsWith(".")) {
      return [...document.getElementsByClassName(element.slice(1))];
    }
    return [document.getElementById(element.replace(/^#/, ""))].filter(Boolean);
  };
  const on = (type, element, react) => {
    elements(element).forEach((found) => found.addEventListener(type, (event) => react(event, found)));
  };
  const later = (event, leave) => {
    event.preventDefault();
    setTimeout(leave, beforeLeaving);
  };

  const KM = {
    i: person,
    identify(id) {
      if (id === null) {
        KM.clearIdentity();
        return;
      }
      if (cookie("km_ni")) {
        keep("km_ai", id); // and the two people stay two
      } else if (anonymous() !== id) {
        send("/a", { _p: anonymous(), _n: id });
      }
      keep("km_ni", id);
    },
    clearIdentity() {
      if (!cookie("km_ni")) {
        return;
      }
      keep("km_ni", "", 0);
      keep("km_ai", "", 0);
      anonymous();
    },
    set(properties, done) {
      send("/s", { _p: person() }, properties, done);
    },
    record(name, properties, done) {
      send("/e", { _p: person(), _n: name }, properties, done);
    },
    alias(id, previous) {
      send("/a", { _p: previous, _n: id });
    },
    trackClick(element, name, properties) {
      on("click", element, () => KM.record(name, properties));
    },
    trackSubmit(element, name, properties) {
      on("submit", element, () => KM.record(name, properties));
    },
    trackClickOnOutboundLink(element, name, properties) {
      on("click", element, (event, link) => {
        KM.record(name, properties);
        if (link.href && !link.target && !event.shiftKey && !event.altKey && !event.ctrlKey && !event.metaKey) {
          later(event, () => location.assign(link.href));
        }
      });
    },
    trackSubmitOnOutboundLink(element, name, properties) {
      on("submit", element, (event, form) => {
        KM.record(name, properties);
        later(event, () => HTMLFormElement.prototype.submit.call(form));
      });
    },
  };

  const carryOut = (command) => {
    if (typeof command === "function") {
      command();
      return;
    }
    const [name, ...rest] = command;
    if (Object.hasOwn(KM, name)) {
      KM[name](...rest);
    }
  };
  const start = () => {
    const waiting = window._kmq || [];
    window._kmq = { push: carryOut };
    waiting.forEach(carryOut);
  };

  window.KM = KM;
  anonymous();
  if (document.readyState === "loading") {
    document.addEventListener("DOMContentLoaded", start); // then the elements are there
  } else {
    start();
  }
})();
