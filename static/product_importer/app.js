/* Makes pages live that also work without it: uploads with progress, a job's progress, the bar. */
"use strict";

(() => {
  const seconds = (n) => n * 1000;

  /* --- Upload: drop, paste or choose; progress; then straight to the job ------------------ */

  function showUpload(list, name) {
    const item = document.createElement("li");
    const label = document.createElement("p");
    const bar = document.createElement("progress");
    bar.max = 100;
    bar.value = 0;
    bar.setAttribute("aria-label", `Upload of ${name}`);
    item.append(label, bar);
    list.append(item);
    const say = (text, percent = bar.value) => {
      label.textContent = `${name}: ${text}`;
      bar.value = percent;
    };
    const fail = (text) => {
      say(text);
      label.className = "pi-alert pi-alert-error";
      label.setAttribute("role", "alert");
      bar.remove();
    };
    const done = (href) => {
      const link = document.createElement("a");
      link.href = href;
      link.textContent = "import started";
      say("", 100);
      label.append(link);
    };
    /* Holds the file until the person has logged in elsewhere, and says so. */
    const pause = (href) => new Promise((resolve) => {
      say("you were logged out meanwhile. Nothing was imported; the file is kept here. ");
      const link = document.createElement("a");
      link.href = href;
      link.target = "_blank";
      link.textContent = "Log in in another tab";
      const again = document.createElement("button");
      again.type = "button";
      again.className = "pi-button";
      again.textContent = "Go on with the upload";
      again.addEventListener("click", () => {
        label.className = "";
        label.removeAttribute("role");
        again.remove();
        say("waiting");
        resolve();
      });
      label.className = "pi-alert pi-alert-warning";
      label.setAttribute("role", "alert");
      label.append(link, ", then go on.");
      item.append(again);
    });
    say("waiting");
    item.scrollIntoView({ block: "nearest" });
    return { item, say, fail, done, pause };
  }

  /* Both ways to upload give the job; an error whose message is for the user has a `told`. */
  const told = (message) => Object.assign(new Error(message), { told: true });

  /* Whether an answer of the API says that nobody is logged in any more, or somebody anew. */
  window.piIsLoggedOut = (status, body) => status === 401 || Boolean(body.detail?.startsWith("CSRF "));

  /* A log-in elsewhere begins another session, with another token: the form takes it over. */
  async function takeToken(form) {
    const answer = await fetch(document.getElementById("pi-running").dataset.dropUrl);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const token = fresh.querySelector(".pi-drop [name=csrfmiddlewaretoken]")?.value;
    if (token) form.querySelector("[name=csrfmiddlewaretoken]").value = token;
    return Boolean(token);
  }

  function postForm(form, file, view) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      const body = new FormData(form); /* with the choices beside the drop zone */
      body.set("file", file, file.name);
      body.set("review_if_known", "true"); /* the same file again: the page asks */
      body.set("file_modified_at", new Date(file.lastModified).toISOString());
      body.set("on_unclear", body.getAll("on_unclear").at(-1)); /* the tick, if it is there */
      if (!body.get("format")) body.delete("format");
      request.upload.addEventListener("progress", (event) => {
        if (!event.lengthComputable) return;
        const percent = Math.floor((100 * event.loaded) / event.total);
        view.say(percent < 100 ? `uploading, ${percent} %` : "storing", percent);
      });
      request.addEventListener("load", () => {
        let answer = {};
        try { answer = JSON.parse(request.responseText); } catch { /* an error page of a proxy */ }
        if (request.status === 202) resolve(answer);
        else if (window.piIsLoggedOut(request.status, answer)) reject({ loggedOut: true });
        else reject(told(answer.detail || `the server answered ${request.status}. Nothing was imported; try again.`));
      });
      request.addEventListener("error", () => reject(told("the connection was lost. Nothing was imported; try again.")));
      request.open("POST", form.dataset.uploadUrl);
      request.setRequestHeader("X-CSRFToken", form.querySelector("[name=csrfmiddlewaretoken]").value);
      request.setRequestHeader("Accept", "application/json");
      request.send(body);
    });
  }

  async function upload(form, file, view, renewed = false) {
    const direct = form.dataset.directUrl && file.size > Number(form.dataset.directAbove);
    try {
      const job = await (direct ? window.piDirectUpload : postForm)(form, file, view);
      const href = `${form.dataset.jobsUrl}${job.id}/`;
      view.done(href);
      return href;
    } catch (error) {
      if (error.loggedOut) {
        /* Who has logged in again in another tab needs not be asked; a second time it is told. */
        while (renewed || !(await takeToken(form).catch(() => false))) {
          renewed = false;
          await view.pause(form.dataset.jobsUrl);
        }
        return upload(form, file, view, true);
      }
      if (!error.told) throw error;
      view.fail(error.message);
      return null;
    }
  }

  async function uploadAll(form, files) {
    const list = form.querySelector(".pi-uploads");
    list.replaceChildren();
    const views = files.map((file) => showUpload(list, file.name)); /* each its line, at once */
    const jobs = []; /* one after the other: imports write in the order in which they are started */
    for (const [number, file] of files.entries()) jobs.push(await upload(form, file, views[number]));
    if (jobs.includes(null)) { /* the reason stands on the page */
      form.querySelector("input[type=file]").value = ""; /* so that the same file can be chosen */
      return;
    }
    window.location.href = jobs.length === 1 ? jobs[0] : form.dataset.jobsUrl;
  }

  /* Heard from the first moment on: the page can be seen, and a file chosen, before all of its
     scripts are there. */
  const ready = new Promise((resolve) => { document.addEventListener("DOMContentLoaded", resolve); });
  document.addEventListener("change", async ({ target }) => {
    if (!target.matches(".pi-drop input[type=file]")) return;
    await ready;
    if (target.files.length) uploadAll(target.form, [...target.files]);
  });

  /* --- A drop on any other page offers to import, and never opens the file ------------------- */

  const hasFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");

  function setUpDropElsewhere() {
    window.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
    window.addEventListener("drop", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      const url = document.getElementById("pi-running")?.dataset.dropUrl;
      if (url && event.dataTransfer.files.length) offer(url, [...event.dataTransfer.files]);
    });
  }

  async function offer(url, files) {
    document.querySelector(".pi-offer")?.remove();
    const dialog = document.createElement("dialog");
    dialog.className = "pi pi-offer";
    const title = document.createElement("h2");
    title.textContent = files.length === 1 ? `Import ${files[0].name}?` : `Import ${files.length} files?`;
    dialog.setAttribute("aria-label", title.textContent);
    const cancel = document.createElement("button");
    cancel.type = "button";
    cancel.className = "pi-button pi-button-quiet";
    cancel.textContent = "Cancel";
    cancel.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    try {
      const answer = await fetch(url);
      const form = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".pi-drop");
      if (!answer.ok || !form) {
        throw told(answer.status === 403 ? "You may not import files." : "You are logged out, or the server does not answer. Reload the page, and drop it again.");
      }
      form.querySelectorAll(".pi-drop-icon, .pi-drop-title, input[type=file], #pi-file-help").forEach((part) => { part.hidden = true; });
      const input = form.querySelector("input[type=file]");
      input.required = false;
      dialog.append(title, form);
      form.querySelector("button[type=submit]").after(cancel);
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        form.querySelectorAll("button").forEach((button) => { button.disabled = true; });
        uploadAll(form, files);
      });
    } catch (error) {
      const sentence = document.createElement("p");
      sentence.className = "pi-alert pi-alert-error";
      sentence.setAttribute("role", "alert");
      sentence.textContent = error.told ? error.message : "The connection was lost. Drop it again.";
      dialog.append(title, sentence, cancel);
    }
    dialog.showModal();
    dialog.querySelector("button[type=submit]")?.focus();
  }

  function setUpDropZone(form) {
    const input = form.querySelector("input[type=file]");
    const button = form.querySelector("button");
    button.hidden = true; /* choosing a file starts it */
    input.hasChangeListener = true; /* Unfold's script would look for its own file widget here */
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (input.files.length) uploadAll(form, [...input.files]);
    });
    let depth = 0;
    const over = (change) => {
      depth = Math.max(0, depth + change);
      form.classList.toggle("pi-over", depth > 0);
    };
    window.addEventListener("dragenter", (event) => hasFiles(event) && over(1));
    window.addEventListener("dragleave", (event) => hasFiles(event) && over(-1));
    window.addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
    window.addEventListener("drop", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      over(-depth);
      if (event.dataTransfer.files.length) uploadAll(form, [...event.dataTransfer.files]);
    });
    window.addEventListener("paste", (event) => {
      const files = [...(event.clipboardData?.files || [])];
      if (files.length) uploadAll(form, files);
    });
  }

  /* --- One job: Server-Sent Events, and polling where they do not get through ------------- */

  function followJob() {
    const panel = () => document.getElementById("job-panel");
    let source = null;
    let polling = null;
    let failures = 0;
    let busy = false;
    let again = false;
    let asked = Date.now();
    let quiet = null;

    function show(text) {
      const fresh = new DOMParser().parseFromString(text, "text/html");
      const news = fresh.getElementById("job-panel").dataset;
      const before = panel().dataset;
      if (before.still === "true" && news.still === "true") return; /* somebody reads it */
      if (news.mapping) { window.location.replace(news.mapping); return; } /* it asks for its columns */
      if (news.announce !== before.announce) {
        document.getElementById("pi-announce").textContent = news.announce;
      }
      /* Buttons stay where they are while they mean the same: else a click would get lost. */
      for (const id of ["job-panel", "job-acts"]) {
        const [now, next] = [document.getElementById(id), fresh.getElementById(id)];
        if (id === "job-acts" && now.dataset.key === next.dataset.key) continue;
        window.htmx.swap(`#${id}`, next.outerHTML, { swapStyle: "outerHTML" });
      }
    }

    async function refresh() {
      if (busy) { again = true; return; }
      busy = true;
      asked = Date.now();
      try {
        const answer = await fetch(panel().dataset.panelUrl, { headers: { "HX-Request": "true" } });
        if (answer.ok) show(await answer.text());
      } catch { /* offline for a moment: the next event or poll tries again */ }
      busy = false;
      if (panel().dataset.final === "true") stop();
      else if (again) { again = false; setTimeout(refresh, 300); }
    }

    function poll() {
      if (!polling) polling = setInterval(refresh, seconds(2));
    }

    function stop() {
      source?.close();
      source = null;
      clearInterval(polling);
      clearInterval(quiet);
      polling = quiet = null;
    }

    function start() {
      if (source || panel().dataset.final === "true") return;
      /* Without progress there are no events, and the page has to say since when. */
      quiet = setInterval(() => { if (Date.now() - asked > seconds(2)) refresh(); }, seconds(1));
      if (!window.EventSource) { poll(); return; }
      source = new EventSource(panel().dataset.eventsUrl);
      source.addEventListener("progress", () => {
        failures = 0;
        clearInterval(polling);
        polling = null;
        refresh();
      });
      source.addEventListener("error", () => {
        failures += 1;
        if (failures >= 2 || source?.readyState === EventSource.CLOSED) poll();
      });
    }

    document.addEventListener("visibilitychange", () => {
      if (document.hidden) stop();
      else { refresh(); start(); }
    });
    start();
  }

  /* --- What runs, on every page; and what a page shows follows it ----------------------------- */

  /* One question for all: the bar, the badge, and a version. When that is another one, the page
     fetches itself, and the parts of it with data-live take the place of the old ones.
     data-live="always" has it do so each time. Hidden tabs ask nothing. */
  function follow(box) {
    const followed = new Set();
    let version = document.getElementById("pi-live")?.dataset.version; /* as the page was made */
    let timer = null;

    function showBar(text) {
      const fresh = new DOMParser().parseFromString(text, "text/html");
      const state = fresh.getElementById("pi-live")?.dataset;
      if (!state) return null; /* logged out: the page says so when it is used */
      if (box.innerHTML !== fresh.body.innerHTML) box.innerHTML = fresh.body.innerHTML;
      box.querySelectorAll("[data-job]").forEach((line) => followed.add(line.dataset.job));
      showBadge(Number(state.waiting));
      return state;
    }

    function showBadge(count) {
      document.querySelectorAll(`nav a[href="${box.dataset.jobsUrl}"], #nav-sidebar a[href="${box.dataset.jobsUrl}"]`).forEach((link) => {
        let badge = link.querySelector(".pi-badge") || [...link.children].find((part) => /^\s*\d+\s*$/.test(part.textContent));
        if (!badge && count) {
          badge = document.createElement("span");
          badge.className = "pi-badge";
          link.append(badge);
        }
        if (!badge) return;
        badge.hidden = !count;
        badge.textContent = count;
        badge.title = "waiting for somebody";
      });
    }

    async function refreshParts() {
      const parts = [...document.querySelectorAll("[data-live][id]")];
      if (!parts.length) return;
      const answer = await fetch(window.location.href);
      if (!answer.ok || answer.redirected) return;
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of parts) {
        const next = fresh.getElementById(part.id);
        /* What somebody is in, or has ticked something in, stays as it is. */
        const held = part.contains(document.activeElement) || part.querySelector("input:checked:not([checked])");
        if (!next || held || part.innerHTML === next.innerHTML) continue;
        window.htmx.swap(`#${part.id}`, next.outerHTML, { swapStyle: "outerHTML" });
      }
    }

    async function look() {
      clearTimeout(timer);
      if (document.hidden) return;
      let wait = seconds(10);
      try {
        const url = new URL(box.dataset.runningUrl, window.location.href);
        if (followed.size) url.searchParams.set("followed", [...followed].slice(-20).join(","));
        const answer = await fetch(url, { headers: { "HX-Request": "true" } });
        const state = answer.ok && !answer.redirected ? showBar(await answer.text()) : null;
        const always = document.querySelector("[data-live=always]");
        if (state) {
          if (always || version !== state.version) await refreshParts();
          version = state.version;
          if (always || state.moving === "true" || document.querySelector("[data-live]")) wait = seconds(2);
        }
      } catch { /* offline for a moment */ }
      timer = setTimeout(look, wait);
    }

    document.addEventListener("visibilitychange", look);
    timer = setTimeout(look, seconds(1));
  }

  /* --- Ticks of a review: each is sent at once; where that fails, it is as it was ----------- */

  document.addEventListener("change", async (event) => {
    const tick = event.target;
    const form = tick.name === "keep" && tick.form?.id === "choose" ? tick.form : null;
    if (!form) return;
    const body = new FormData();
    body.set("csrfmiddlewaretoken", form.querySelector("[name=csrfmiddlewaretoken]").value);
    body.set("line", tick.value);
    if (tick.checked) body.set("keep", tick.value);
    const bar = document.getElementById("decide");
    try {
      const answer = await fetch(form.action, { method: "POST", body, headers: { "HX-Request": "true" } });
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      if (!answer.ok) throw told(fresh.querySelector("[role=alert]")?.textContent || "It could not be kept.");
      bar.replaceWith(fresh.getElementById("decide"));
    } catch (error) {
      tick.checked = !tick.checked;
      bar.querySelector("[role=status]").textContent = error.told ? error.message : "The connection was lost: nothing was changed.";
    }
  });

  /* --- A log-out takes along what scripts have stored: searches, selections, names of files ---- */

  document.addEventListener("submit", (event) => {
    if (!event.target.getAttribute("action")?.endsWith("/logout/")) return;
    sessionStorage.clear();
    for (const name of Object.keys(localStorage)) {
      if (name.startsWith("pi-upload:") || name === "commandHistory") localStorage.removeItem(name);
    }
  });

  /* Unfold shows a page only when Alpine is there; before that, a field cannot take the focus. */
  window.addEventListener("load", () => {
    if (document.activeElement === document.body) document.querySelector("[autofocus]")?.focus();
  });

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll(".pi-drop").forEach(setUpDropZone);
    if (!document.querySelector(".pi-drop")) setUpDropElsewhere();
    const panel = document.getElementById("job-panel");
    if (panel && panel.dataset.final === "false") followJob();
    const box = document.getElementById("pi-running");
    if (box) follow(box);
  });
})();
