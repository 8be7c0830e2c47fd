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
    say("waiting");
    item.scrollIntoView({ block: "nearest" });
    return { item, say, fail, done };
  }

  /* Both ways to upload give the job; an error whose message is for the user has a `told`. */
  const told = (message) => Object.assign(new Error(message), { told: true });

  function postForm(form, file, view) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      const body = new FormData(form); /* with the choices beside the drop zone */
      body.set("file", file, file.name);
      body.set("review_if_known", "true"); /* the same file again: the page asks */
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
        else reject(told(answer.detail || `the server answered ${request.status}. Nothing was imported; try again.`));
      });
      request.addEventListener("error", () => reject(told("the connection was lost. Nothing was imported; try again.")));
      request.open("POST", form.dataset.uploadUrl);
      request.setRequestHeader("X-CSRFToken", form.querySelector("[name=csrfmiddlewaretoken]").value);
      request.setRequestHeader("Accept", "application/json");
      request.send(body);
    });
  }

  async function upload(form, file) {
    const view = showUpload(form.querySelector(".pi-uploads"), file.name);
    const direct = form.dataset.directUrl && file.size > Number(form.dataset.directAbove);
    try {
      const job = await (direct ? window.piDirectUpload : postForm)(form, file, view);
      const href = `${form.dataset.jobsUrl}${job.id}/`;
      view.done(href);
      return href;
    } catch (error) {
      if (!error.told) throw error;
      view.fail(error.message);
      return null;
    }
  }

  async function uploadAll(form, files) {
    form.querySelector(".pi-uploads").replaceChildren();
    const jobs = [];
    for (const file of files) jobs.push(await upload(form, file));
    if (jobs.includes(null)) { /* the reason stands on the page */
      form.querySelector("input[type=file]").value = ""; /* so that the same file can be chosen */
      return;
    }
    window.location.href = jobs.length === 1 ? jobs[0] : form.dataset.jobsUrl;
  }

  function setUpDropZone(form) {
    const input = form.querySelector("input[type=file]");
    const button = form.querySelector("button");
    button.hidden = true; /* choosing a file starts it */
    input.hasChangeListener = true; /* Unfold's script would look for its own file widget here */
    input.addEventListener("change", () => input.files.length && uploadAll(form, [...input.files]));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (input.files.length) uploadAll(form, [...input.files]);
    });
    let depth = 0;
    const over = (change) => {
      depth = Math.max(0, depth + change);
      form.classList.toggle("pi-over", depth > 0);
    };
    const hasFiles = (event) => event.dataTransfer && [...event.dataTransfer.types].includes("Files");
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

  /* --- The thin bar of running imports on every page --------------------------------------- */

  function followRunning(box) {
    const timer = setInterval(async () => {
      if (document.hidden) return;
      try {
        const answer = await fetch(box.dataset.runningUrl, { headers: { "HX-Request": "true" } });
        if (answer.ok) box.innerHTML = await answer.text();
        if (!box.querySelector(".pi-running")) clearInterval(timer);
      } catch { /* offline for a moment */ }
    }, seconds(3));
  }

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
    const panel = document.getElementById("job-panel");
    if (panel && panel.dataset.final === "false") followJob();
    const box = document.getElementById("pi-running");
    if (box?.querySelector(".pi-running")) followRunning(box);
  });
})();
