/* Sends a large file straight to the bucket, in parts, and goes on where it stopped: after a lost
   connection by itself, after a closed page when the same file is chosen again. */
"use strict";

(() => {
  const PARALLEL = 3; /* parts on the way at a time */
  const TRIES = 8; /* of a part or a call without getting on: with the pauses, about two minutes */
  const REFUSALS = 3; /* of the storage, which a new address may mend and waiting does not */
  const ROUNDS = 3; /* of sending what is missing */
  const STALLED = 60_000; /* ms without a byte getting away: the connection is dead */

  /* The connection, or a server for a moment (which gave this status): try again. */
  class Lost extends Error {
    constructor(status = 0) {
      super();
      this.status = status;
      this.refused = status >= 400 && status < 500;
    }
  }
  const told = (message) => Object.assign(new Error(message), { told: true });
  const megabytes = (bytes) => Math.round(bytes / 1024 ** 2);

  class DirectUpload {
    constructor(form, file, view) {
      this.url = form.dataset.directUrl;
      this.token = form.querySelector("[name=csrfmiddlewaretoken]").value;
      const choices = new FormData(form); /* beside the drop zone */
      this.options = {
        mode: choices.get("mode"),
        checks: choices.get("checks") || "stop",
        review: choices.has("review"),
        review_if_known: true,
        file_modified_at: new Date(file.lastModified).toISOString(),
        on_unclear: choices.getAll("on_unclear").at(-1),
      };
      if (choices.get("format")) this.options.format = choices.get("format");
      if (choices.get("supplier")) this.options.supplier = choices.get("supplier");
      if (choices.has("full_list")) this.options.full_list = true;
      this.file = file;
      this.view = view;
      this.key = `pi-upload:${file.name}:${file.size}:${file.lastModified}`;
      this.cancelled = new AbortController();
      this.onTheWay = new Map(); /* bytes, by part */
    }

    async run() {
      try {
        await this.begin();
        for (let round = 1; ; round += 1) {
          await this.sendParts();
          this.view.say("storing", 100);
          const { status, body } = await this.retry(() => this.ask("POST", `${this.id}/complete/`, this.options));
          if (status === 202) {
            this.remember(null);
            return body;
          }
          /* If the bucket has not all of them, what is missing is sent again. */
          if (body.code !== "parts_missing" || round === ROUNDS || !(await this.look())) {
            throw this.refused(status, body);
          }
        }
      } catch (error) {
        throw this.cancelled.signal.aborted ? await this.discard() : error;
      }
    }

    cancel() {
      this.cancelled.abort();
    }

    /* --- What has arrived --------------------------------------------------------------- */

    async begin() {
      this.id = this.remembered();
      if (this.id && await this.look()) return;
      const { status, body } = await this.retry(() =>
        this.ask("POST", "", { file_name: this.file.name, file_size: this.file.size }));
      if (status !== 201) throw this.refused(status, body);
      this.remember(body.id);
      this.take(body);
    }

    async look() {
      const { status, body } = await this.retry(() => this.ask("GET", `${this.id}/`));
      if (status === 200) this.take(body);
      else if (status !== 404) throw this.refused(status, body);
      return status === 200;
    }

    take(upload) {
      this.id = upload.id;
      this.partSize = upload.part_size;
      const arrived = new Set(upload.arrived);
      this.missing = [];
      for (let number = 1; number <= upload.part_count; number += 1) {
        if (!arrived.has(number)) this.missing.push(number);
      }
      this.arrivedBytes = this.file.size - this.missing.reduce((sum, number) => sum + this.part(number).size, 0);
      this.draw();
    }

    part(number) {
      return this.file.slice((number - 1) * this.partSize, number * this.partSize);
    }

    /* Where nothing can be kept, an upload only does not outlive its page. */
    remembered() {
      try { return localStorage.getItem(this.key); } catch { return null; }
    }

    remember(id) {
      try {
        if (id) localStorage.setItem(this.key, id);
        else localStorage.removeItem(this.key);
      } catch { /* as above */ }
    }

    /* --- Sending ------------------------------------------------------------------------ */

    async sendParts() {
      let failed = false;
      const sender = async () => {
        while (this.missing.length && !failed) {
          const number = this.missing.shift();
          try {
            await this.retry(() => this.sendPart(number));
          } catch (error) {
            failed = true;
            throw error;
          }
        }
      };
      const ends = await Promise.allSettled(Array.from({ length: PARALLEL }, sender));
      const end = ends.find((one) => one.status === "rejected");
      if (end) throw end.reason;
    }

    async sendPart(number) {
      /* The address is made for this try: it does not live long. */
      const { status, body } = await this.ask("POST", `${this.id}/parts/`, { numbers: [number] });
      if (status !== 200) throw this.refused(status, body);
      const bytes = this.part(number);
      await this.put(body.parts[0].url, bytes, number);
      this.arrivedBytes += bytes.size;
      this.draw();
    }

    put(url, bytes, number) {
      return new Promise((resolve, reject) => {
        const request = new XMLHttpRequest(); /* fetch does not tell how much has gone */
        const stop = () => request.abort();
        let stalled = setTimeout(stop, STALLED);
        window.addEventListener("offline", stop);
        this.cancelled.signal.addEventListener("abort", stop);
        request.upload.addEventListener("progress", (event) => {
          clearTimeout(stalled);
          stalled = setTimeout(stop, STALLED);
          this.onTheWay.set(number, event.loaded);
          this.draw();
        });
        request.addEventListener("loadend", () => {
          clearTimeout(stalled);
          window.removeEventListener("offline", stop);
          this.cancelled.signal.removeEventListener("abort", stop);
          this.onTheWay.delete(number);
          if (request.status === 200) resolve();
          else if (request.status === 404) reject(this.unknown());
          else reject(new Lost(request.status)); /* 403: the address was too old; 503: slow down */
        });
        request.open("PUT", url);
        request.send(bytes);
      });
    }

    async ask(method, path, body) {
      let answer;
      try {
        answer = await fetch(this.url + path, {
          method,
          headers: { "X-CSRFToken": this.token, "Content-Type": "application/json", Accept: "application/json" },
          body: body && JSON.stringify(body),
          signal: this.cancelled.signal,
        });
      } catch {
        throw new Lost();
      }
      if (answer.status >= 500 || answer.status === 429) throw new Lost();
      let said = {};
      try { said = await answer.json(); } catch { /* an error page of a proxy */ }
      return { status: answer.status, body: said };
    }

    /* --- When it does not go well -------------------------------------------------------- */

    async retry(act) {
      for (let tries = 1; ; tries += 1) {
        await this.online();
        const before = this.arrivedBytes;
        try {
          return await act();
        } catch (error) {
          if (!(error instanceof Lost) || this.cancelled.signal.aborted) throw error;
          if (!navigator.onLine || this.arrivedBytes > before) tries = 0; /* others got on meanwhile */
          if (tries >= (error.refused ? REFUSALS : TRIES)) throw told(this.lost(error));
          this.view.say(`${this.reason(error)}, trying again; ${this.percent()} % has arrived`);
        }
        await this.pause(Math.min(30_000, 500 * 2 ** tries) * (0.5 + Math.random() / 2));
      }
    }

    async online() {
      if (navigator.onLine) return;
      this.view.say(`no connection, going on when it is back; ${this.percent()} % has arrived`);
      await this.pause();
    }

    /* Until the connection is back, somebody cancels, or so many ms have passed. */
    async pause(milliseconds) {
      const over = new AbortController();
      const { signal } = over;
      await new Promise((resolve) => {
        if (milliseconds) setTimeout(resolve, milliseconds);
        window.addEventListener("online", resolve, { signal });
        this.cancelled.signal.addEventListener("abort", resolve, { signal });
      });
      over.abort(); /* takes the listeners away */
      if (this.cancelled.signal.aborted) throw new Lost();
    }

    reason({ status }) {
      return status ? `the storage answered ${status}` : "the connection was lost";
    }

    unknown() {
      this.remember(null);
      return told("the storage no longer has what had arrived. Choose the file again to send it anew.");
    }

    lost(error) {
      const hint = this.arrivedBytes
        ? `What has arrived (${this.percent()} %) is kept for a day: choose the file again to go on.`
        : "Choose the file again to try once more. If nothing ever arrives, ask your ops staff whether the storage takes files from this page.";
      return `${this.reason(error)}. ${hint}`;
    }

    refused(status, body) {
      if (status === 404) this.remember(null);
      if (window.piIsLoggedOut(status, body)) return { loggedOut: true };
      return told(body.detail || `the server answered ${status}. Nothing was imported; choose the file again.`);
    }

    async discard() {
      this.remember(null);
      if (!this.id) return told("cancelled. Nothing was imported.");
      let answer;
      try {
        answer = await fetch(`${this.url}${this.id}/`, { method: "DELETE", headers: { "X-CSRFToken": this.token } });
      } catch { /* no connection: what has arrived goes by itself after a day */ }
      if (answer?.status === 409) return told((await answer.json()).detail);
      return told("cancelled. Nothing was imported.");
    }

    /* --- What is seen -------------------------------------------------------------------- */

    percent() {
      return this.arrivedBytes === undefined ? 0 : Math.floor((100 * this.arrivedBytes) / this.file.size);
    }

    draw() {
      const away = megabytes([...this.onTheWay.values()].reduce((sum, bytes) => sum + bytes, 0));
      const more = away ? `, ${away} MB on the way` : "";
      this.view.say(`uploading, ${this.percent()} %${more}`, this.percent());
    }
  }

  window.piDirectUpload = async (form, file, view) => {
    const upload = new DirectUpload(form, file, view);
    const button = document.createElement("button");
    button.type = "button";
    button.className = "pi-button pi-button-quiet";
    button.textContent = "Cancel";
    button.setAttribute("aria-label", `Cancel the upload of ${file.name}`);
    button.addEventListener("click", () => { button.disabled = true; upload.cancel(); });
    view.item.append(button);
    try {
      return await upload.run();
    } finally {
      button.remove();
    }
  };
})();
