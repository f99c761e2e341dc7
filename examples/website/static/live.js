// Keeps what the page shows of Kissmetrics' knowledge up to date, and writes
// times as the visitor's clock has them.
(() => {
  "use strict";
  const every = 300; // milliseconds

  const localize = (root) => {
    for (const time of root.querySelectorAll("time")) {
      const date = new Date(time.dateTime);
      const clock = { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" };
      const day = { day: "numeric", month: "short", year: "numeric" };
      time.textContent = time.classList.contains("date")
        ? date.toLocaleString("en-GB", { ...day, ...clock })
        : date.toLocaleTimeString("en-GB", clock);
      time.title = date.toLocaleString("en-GB", { ...day, ...clock });
    }
  };

  const live = [...document.querySelectorAll("[data-live]")];
  const shown = new Map();
  const update = async (element) => {
    const response = await fetch(element.dataset.live);
    const html = await response.text();
    if (response.ok && shown.get(element) !== html) {
      shown.set(element, html);
      element.innerHTML = html;
      localize(element);
    }
  };
  const next = async () => {
    if (!document.hidden) {
      try {
        await Promise.all(live.map(update));
      } catch {
        return; // the shop has closed
      }
    }
    setTimeout(next, every);
  };

  localize(document);
  next();
})();
