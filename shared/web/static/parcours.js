// What makes pages quicker to use. Without it every page works: forms send, links lead, details fold.
"use strict";

// The page at an address, or where it leads; none where there is none to be had.
const pageAt = async (address, signal) => {
  try {
    const answer = await fetch(address, { signal });
    return answer.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
  } catch {
    return null;
  }
};

// A form with data-live shows its results at once: what stands in the same ids of the answer takes their place.
for (const form of document.querySelectorAll("form[data-live]")) {
  const parts = form.dataset.live.split(" ");
  let latest = null;
  let pause = 0;

  const show = async (address) => {
    latest?.abort();
    latest = new AbortController();
    const { signal } = latest;
    const page = await pageAt(address, signal);
    if (signal.aborted) return;
    for (const id of parts) {
      const fresh = page?.getElementById(id);
      if (!fresh) return location.assign(address);
      fresh.dataset.changed = "";
      document.getElementById(id).replaceWith(fresh);
    }
    const said = form.querySelector("[role=status]");
    if (said) said.textContent = document.querySelector(`#${parts[0]} h2`)?.textContent ?? "";
    document.title = page.title;
    history.replaceState(null, "", address);
  };
  const address = () => {
    const given = [...new FormData(form)].filter(([, value]) => value !== "");
    const query = new URLSearchParams(given).toString();
    return form.action.split("?")[0] + (query ? "?" + query : "");
  };

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    show(address());
  });
  form.addEventListener("input", (event) => {
    clearTimeout(pause);
    const typed = event.target.matches("[type=search], [type=date], [type=text]");
    pause = setTimeout(() => show(address()), typed ? 350 : 0);
  });
}

// What is in data-search of a field is searched in the rows that are on the page already; data-none is shown where none is left.
for (const field of document.querySelectorAll("input[data-search]")) {
  const none = document.getElementById(field.dataset.none);
  const box = field.closest("[hidden]"); // of a field that does nothing without a script
  if (box) box.hidden = false;
  field.addEventListener("focus", () => field.select()); // the next name takes the place of the last
  const plain = (text) => text.normalize("NFD").replace(/\p{M}/gu, "").toLowerCase();
  field.addEventListener("input", () => {
    const words = plain(field.value).split(/\s+/);
    let found = 0;
    for (const row of document.querySelectorAll(field.dataset.search)) {
      const text = plain(row.textContent);
      row.hidden = !words.every((word) => text.includes(word));
      found += !row.hidden;
    }
    none.hidden = Boolean(found);
  });
}

// What has data-choose ticks the boxes of that name in its form, or takes the ticks off where all have one.
for (const link of document.querySelectorAll("[data-choose]")) {
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const boxes = [...link.closest("form").querySelectorAll(`[name=${link.dataset.choose}]`)].filter((box) => !box.closest("[hidden]"));
    const all = boxes.every((box) => box.checked);
    for (const box of boxes) box.checked = !all;
  });
}

// A link with data-dialog asks in a dialog what its page asks: the part of that id.
for (const link of document.querySelectorAll("a[data-dialog]")) {
  link.addEventListener("click", async (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const id = link.dataset.dialog;
    const question = (await pageAt(link.href))?.getElementById(id);
    if (!question) return location.assign(link.href);
    const dialog = document.createElement("dialog");
    const heading = question.querySelector("h1");
    heading.tabIndex = -1; // it is read first, not a field that comes after what follows
    heading.autofocus = true;
    dialog.setAttribute("aria-labelledby", heading.id);
    dialog.append(question);
    dialog.addEventListener("close", () => dialog.remove());
    dialog.addEventListener("click", (click) => {
      if (!click.target.closest("[data-close]")) return;
      click.preventDefault();
      dialog.close();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

// A field with data-copy gets a button of that name, which copies it and then says data-copied.
for (const field of document.querySelectorAll("input[data-copy]")) {
  if (!navigator.clipboard) break;
  const button = document.createElement("button");
  button.type = "button";
  button.className = "second";
  button.textContent = field.dataset.copy;
  button.ariaLive = "polite";
  button.addEventListener("click", async () => {
    field.select();
    await navigator.clipboard.writeText(field.value);
    button.textContent = field.dataset.copied;
  });
  field.after(button);
}

// A menu closes by Escape, and by a click beside it.
for (const menu of document.querySelectorAll(".account details")) {
  menu.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && menu.open) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });
  document.addEventListener("click", (event) => {
    if (!menu.contains(event.target)) menu.open = false;
  });
}

// What has data-again is looked at again after so many seconds, in the page or in data-from, as long as it is seen; later each time
// while it stays the same. For five minutes at most, as each look counts as use of a log-in;
// what needs none says in data-minutes for how long.
for (const part of document.querySelectorAll("[data-again]")) {
  const { again, from = location.href, minutes = 5 } = part.dataset;
  const first = again * 1000;
  let end = Date.now() + minutes * 60000;
  const look = async (pause) => {
    let next = Math.min(8 * first, 1.5 * pause);
    if (document.hidden) next = pause;
    else {
      const fresh = (await pageAt(from))?.getElementById(part.id);
      const now = document.getElementById(part.id);
      if (fresh && end && fresh.innerHTML.trim() !== now.innerHTML.trim() && !now.contains(document.activeElement)) {
        now.replaceWith(fresh);
        next = first;
      }
    }
    if (Date.now() < end) timer = setTimeout(look, next, next);
    else stop.remove();
  };
  let timer = setTimeout(look, first, first);
  const stop = document.createElement("button");
  stop.type = "button";
  stop.className = "stop";
  stop.textContent = "Arrêter la mise à jour automatique";
  stop.addEventListener("click", () => {
    end = 0;
    clearTimeout(timer);
    stop.remove();
  });
  // In a panel, after what it says.
  const panel = part.closest(".panel");
  if (panel) panel.append(stop);
  else part.after(stop);
}

// Who stays logged in gets the notice of a new page, seen in its time. The page of the log-in has none: the log-in has ended.
document.addEventListener("click", async (event) => {
  const link = event.target;
  const { stay, retry } = link.dataset;
  if (!stay) return;
  event.preventDefault();
  const notice = link.closest("div");
  const page = await pageAt(stay);
  const fresh = page?.getElementById("ending");
  if (fresh) notice.replaceWith(fresh);
  else if (page) for (const part of notice.querySelectorAll("p")) part.hidden = !part.matches(".ended");
  else link.textContent = retry;
});

// Rows can be dragged in the lists of a part with data-drag, and from one to another: those of the ordered list are numbered, others
// have no number, those of a list with data-ticked a tick. What data-drag names is shown then: nothing is saved yet.
// What is said of dragging (data-by-hand) is shown where one can.
for (const part of document.querySelectorAll("[data-drag]")) {
  let dragged = null;
  for (const row of part.querySelectorAll("[data-rank]")) row.draggable = true;
  for (const hint of part.querySelectorAll("[data-by-hand]")) hint.hidden = false;
  part.addEventListener("dragstart", (event) => {
    dragged = event.target.closest("[data-rank]");
    dragged?.classList.add("dragged");
  });
  part.addEventListener("dragover", (event) => {
    const list = event.target.closest("ol, ul");
    if (!dragged || !list) return;
    event.preventDefault();
    const over = event.target.closest("[data-rank]");
    if (!over && !list.children.length) list.append(dragged);
    if (!over || over === dragged) return;
    const box = over.getBoundingClientRect();
    list.insertBefore(dragged, event.clientY > box.top + box.height / 2 ? over.nextSibling : over);
  });
  part.addEventListener("dragend", () => {
    if (!dragged) return;
    const list = dragged.parentElement;
    dragged.classList.remove("dragged");
    dragged.querySelector(".rank input").value = "";
    dragged.querySelector("[type=checkbox]").checked = "ticked" in list.dataset;
    dragged = null;
    part.querySelectorAll("ol > [data-rank]").forEach((row, at) => (row.querySelector(".rank input").value = at + 1));
    document.getElementById(part.dataset.drag).hidden = false;
  });
}

// Some browsers keep nothing, and say so only when they are asked to.
const usableStorage = () => {
  try {
    localStorage.setItem("taps", "");
    localStorage.removeItem("taps");
    return localStorage;
  } catch {
    return null;
  }
};

// Who is noted in a part with data-queue is kept on the device until it could be sent: networks at a door are poor.
// It waits for who tapped (data-owner), for all their doors and tabs, a day at most: later its time is not believed.
// A second tap takes it back; what the service refuses is not sent again.
for (const door of document.querySelectorAll("[data-queue]")) {
  const storage = usableStorage();
  if (!storage) break; // the forms send what is tapped
  const { owner, said, waiting, refused, refusals, late, logIn } = door.dataset;
  const read = (name) => JSON.parse(storage.getItem(name) ?? "[]");
  const own = `taps ${owner}`;
  const kept = () => read(own);
  const keep = (taps) => storage.setItem(own, JSON.stringify(taps));
  const isOld = (tap) => Date.now() - Date.parse(tap.at) > 86400000;
  const same = (tap) => (other) => tap.address === other.address && tap.value === other.value;
  const isSelf = (tap) => (other) => tap.value === other.value && tap.at === other.at;
  const here = door.querySelector("[data-scan]").action;
  let refusedTaps = [];
  let onItsWay = null;
  let note = "";
  let dropped = 0;
  let pause = 0;
  let later = 0;
  let shown = "";

  const mark = (tap, state, text) => {
    const row = tap.address === here && document.getElementById(`p-${tap.value}`);
    if (!row || row.querySelector(".quiet.state")) return;
    row.classList.add(state);
    const words = document.createElement("span");
    words.className = "quiet state";
    words.textContent = text.charAt(0).toUpperCase() + text.slice(1);
    row.querySelector("p").append(words);
  };
  const tell = () => {
    const taps = kept();
    const counts = [[taps.length, waiting], [refusedTaps.length, refusals], [dropped, late]];
    const line = document.getElementById(said);
    line.textContent = [...counts.map(([number, text]) => number ? `${number} ${text}.` : ""), note].filter(Boolean).join(" ");
    line.hidden = !line.textContent;
    for (const row of door.querySelectorAll("li.queued, li.refused")) {
      row.classList.remove("queued", "refused");
      row.querySelector(".quiet.state").remove();
    }
    for (const tap of refusedTaps) mark(tap, "refused", refused);
    for (const tap of taps) mark(tap, "queued", waiting);
  };
  const drop = () => {
    dropped += kept().filter(isOld).length;
    keep(kept().filter((tap) => !isOld(tap)));
    for (const name of Object.keys(storage)) {
      if (name.startsWith("taps ") && read(name).every(isOld)) storage.removeItem(name);
    }
  };
  const fetched = async (address) => {
    const page = await pageAt(address, AbortSignal.timeout(15000));
    return page?.querySelector("[data-queue]")?.dataset.owner === owner ? page : null;
  };
  const refresh = async () => {
    const address = new URL(location.href);
    address.searchParams.set("fait", shown);
    const page = await fetched(address);
    if (!page) return;
    for (const id of door.dataset.queue.split(" ")) document.getElementById(id).replaceWith(page.getElementById(id));
    for (const field of door.querySelectorAll("[data-search]")) field.dispatchEvent(new Event("input"));
    tell();
  };
  // The forms of a log-in that has ended are refused: those of the next, by the same person, have another key.
  const takeNewKey = async () => {
    const key = (await fetched(here))?.querySelector("[data-queue] [name=cle]").value;
    for (const field of key ? document.querySelectorAll("[name=cle]") : []) field.value = key;
    return Boolean(key);
  };
  const post = (tap) => {
    const body = new URLSearchParams({ [tap.field]: tap.value, differe: tap.at, cle: door.querySelector("[name=cle]").value });
    return fetch(tap.address, { method: "POST", body, redirect: "manual", signal: AbortSignal.timeout(15000) }).catch(() => null);
  };
  const send = async () => {
    if (onItsWay) return;
    clearTimeout(later);
    drop();
    note = "";
    const tried = [];
    let sent = false;
    for (;;) {
      const tap = kept().find((tap) => !tried.some(isSelf(tap)));
      if (!tap) break;
      onItsWay = tap;
      tried.push(tap);
      let answer = await post(tap);
      if (answer?.status === 403 && (await takeNewKey())) answer = await post(tap);
      if (!answer || answer.status === 429 || answer.status >= 500) break;
      if (answer.type === "opaqueredirect" || answer.status === 403) {
        note = logIn;
        break;
      }
      if (!answer.ok && answer.status !== 422) continue;
      keep(kept().filter((other) => !isSelf(tap)(other)));
      if (answer.ok) shown = `pointee-${tap.value}`;
      else refusedTaps.push(tap);
      sent ||= answer.ok;
    }
    onItsWay = null;
    tell();
    pause = kept().length ? Math.min(60000, 2 * pause || 4000) : 0;
    if (pause) later = setTimeout(send, pause);
    if (sent) refresh();
  };
  door.addEventListener("submit", (event) => {
    const { name: field, value } = event.submitter ?? {};
    if (!value || event.target.matches("[data-scan]")) return;
    event.preventDefault();
    const tap = { address: event.target.action, field, value, at: new Date().toISOString() };
    const isSame = same(tap);
    const taps = kept();
    const found = taps.findIndex((other) => isSame(other) && !(onItsWay && isSelf(onItsWay)(other)));
    if (onItsWay && isSame(onItsWay)) tap.field = onItsWay.field === "present" ? "annuler" : "present"; // it may have arrived
    if (found < 0) taps.push(tap);
    else taps.splice(found, 1);
    keep(taps);
    refusedTaps = refusedTaps.filter((other) => !isSame(other));
    tell();
    send();
  });
  addEventListener("online", send);
  addEventListener("storage", tell); // of another tab
  tell();
  send();
}

// The trail leads back to a list with the filters, and to the part of it, that one came from.
if (document.referrer) {
  const left = new URL(document.referrer);
  left.searchParams.delete("fait");
  for (const link of document.querySelectorAll(".trail a:not([href*='?'])")) {
    if (link.origin === left.origin && link.pathname === left.pathname) link.href = left.href;
  }
}

// Where the browser reads codes, the camera fills the field of a form with data-scan and sends it.
for (const form of "BarcodeDetector" in window ? document.querySelectorAll("form[data-scan]") : []) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "second";
  button.textContent = "Lire un code par la caméra";
  form.append(button);
  const stop = (video) => video.srcObject?.getTracks().forEach((track) => track.stop());
  button.addEventListener("click", async () => {
    button.hidden = true;
    const video = document.createElement("video");
    video.playsInline = true;
    form.append(video);
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      await video.play();
      const detector = new BarcodeDetector();
      while (video.isConnected) {
        const [found] = await detector.detect(video);
        if (found) {
          form.querySelector("[name=code]").value = found.rawValue;
          stop(video);
          form.requestSubmit();
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, 150));
      }
    } catch {
      stop(video);
      video.remove();
      button.hidden = false;
      button.textContent = "La caméra n’est pas disponible";
    }
  });
}
