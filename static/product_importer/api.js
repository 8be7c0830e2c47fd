/* The API's own pages: the colours that somebody chose, and requests as a program sends them. */
"use strict";

(() => {
  /* The pages keep the choice so: "light", "dark" or "auto", as JSON. */
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  function colour() {
    const chosen = localStorage.getItem("adminTheme") || "";
    const now = chosen.includes("dark") || (!chosen.includes("light") && dark.matches);
    for (const name of ["dark", "dark-mode"]) document.documentElement.classList.toggle(name, now); /* ours, Swagger's */
  }
  dark.addEventListener("change", colour);
  colour();

  /* What Swagger leaves out: the names of its selects, and a way by keyboard into what scrolls. */
  function complete(box) {
    for (const select of box.querySelectorAll("select:not([aria-label])")) {
      const name = select.closest("tr")?.querySelector(".parameter__name")?.firstChild.textContent;
      select.setAttribute("aria-label", name || "Media type");
    }
    for (const text of box.querySelectorAll("pre.microlight:not([tabindex])")) text.tabIndex = 0;
  }
  document.addEventListener("DOMContentLoaded", () => {
    const box = document.getElementById("swagger-ui");
    if (box) new MutationObserver(() => complete(box)).observe(box, { childList: true, subtree: true });
  });

  function show(text, type) {
    const main = document.getElementById("pi-main");
    const fresh = type.startsWith("text/html") && new DOMParser().parseFromString(text, "text/html").getElementById("pi-main");
    if (fresh) main.replaceWith(fresh);
    else main.querySelector(".response-info pre").textContent = text;
    document.getElementById("pi-main").focus();
    window.scrollTo(0, 0);
  }

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    const method = event.submitter?.dataset.method || form.dataset.method;
    if (!method) return; /* filters, the log-out */
    event.preventDefault();
    const headers = { Accept: "text/html", "X-CSRFToken": document.getElementById("pi-main").dataset.csrf };
    const written = form.querySelector("textarea");
    let body;
    if (written) [body, headers["Content-Type"]] = [written.value, "application/json"];
    else if (method === "POST") body = new FormData(form);
    try {
      const answer = await fetch(form.getAttribute("action"), { method, headers, body });
      const type = answer.headers.get("Content-Type") || "";
      const text = await answer.text();
      show(type.startsWith("text/html") ? text : `HTTP ${answer.status} ${answer.statusText}\n\n${text}`, type);
    } catch {
      show("The connection was lost. Whether the request was carried out is not known: look before you send it again.", "text/plain");
    }
  });
})();
